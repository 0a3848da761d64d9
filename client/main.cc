// dsocrctl: one command, one call to the daemon.
#include "client/app.h"
#include "client/io.h"

int main(int argc, char** argv) {
  dsocr::client::ProcessIo io;
  return dsocr::client::RunApp({argv + 1, argv + argc}, io);
}
