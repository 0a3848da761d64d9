// A job that no library can be loaded into: it is linked statically.
#include <unistd.h>

int main() {
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) {
    return 1;
  }
  while (true) {
    pause();
  }
}
