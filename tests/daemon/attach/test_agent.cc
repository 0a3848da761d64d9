// An agent that does nothing but answer: every packet on its socket comes back, until the end of file. So the
// injector's tests need no other part of the project.
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace {

void* Answer(void* argument) {
  const int socket = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  char packet[256];
  for (ssize_t size; (size = recv(socket, packet, sizeof(packet), 0)) > 0;) {
    send(socket, packet, static_cast<size_t>(size), MSG_NOSIGNAL);
  }
  close(socket);
  return nullptr;
}

}  // namespace

extern "C" const char dsocr_test_agent_build[];
extern "C" const char dsocr_test_agent_build[] = DSOCR_TEST_AGENT_BUILD;  // tells two builds apart

extern "C" int dsocr_agent_attach(int socket) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, Answer, reinterpret_cast<void*>(intptr_t{socket})) != 0) {
    return -1;
  }
  pthread_detach(thread);
  return 0;
}
