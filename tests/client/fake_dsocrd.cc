// A program that looks like dsocrd from outside: takes its flags, serves its socket, says in a file what it found, ends
// by itself.
#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  std::string socket_path;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string(argv[i]) == "--listen") {
      socket_path = std::string(argv[i + 1]).substr(std::strlen("unix:"));
    }
  }
  std::ofstream report(socket_path + "." + std::to_string(::getpid()));
  report << "session: " << ::getsid(0) << "\n";
  report << "leads it: " << (::getsid(0) == ::getpid()) << "\n";
  int descriptors = 0;
  if (DIR* dir = ::opendir("/proc/self/fd")) {
    while (const dirent* entry = ::readdir(dir)) {
      descriptors += entry->d_name[0] != '.' && std::atoi(entry->d_name) > STDERR_FILENO ? 1 : 0;
    }
    ::closedir(dir);
  }
  report << "descriptors: " << descriptors - 2 << "\n";  // this report and the directory
  for (int i = 1; i < argc; ++i) {
    report << argv[i] << "\n";
  }
  report.close();

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return 1;  // somebody else serves there
  }
  ::listen(listener, 8);
  ::alarm(5);
  while (true) {
    ::close(::accept(listener, nullptr, nullptr));
  }
}
