// An HTTP/1.1 listener: bytes to Request, Response to bytes. It knows no endpoint.
//
// Boost.Beast and not a smaller library: its deadlines are of a whole request and not of a read, its limits belong to a
// parser and not to the build of a shared library, and, being headers alone, it costs a daemon that serves no HTTP
// nothing. Everything that it is stays in server.cc.
//
// What a hostile client can take is bounded: connections, threads, bytes of a header and a body, and the time for each.
// A connection over the limit is closed unanswered; a request that breaks a limit is answered once and its connection
// closed.
#ifndef DSOCR_DAEMON_HTTP_SERVER_H_
#define DSOCR_DAEMON_HTTP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/http/message.h"

namespace dsocr::http {

struct Limits {
  int connections = 32;                            // each may hold a request and a response of a megabyte
  uint32_t header_bytes = 8 << 10;                 // as nginx and Apache have it
  uint64_t body_bytes = 1 << 20;                   // contracts: chunks of uploads have as much; a request has a page
  absl::Duration header_time = absl::Seconds(10);  // from the end of the last response: also of an idle connection
  absl::Duration body_time = absl::Seconds(10);
  absl::Duration write_time = absl::Seconds(10);
};

class Server {
 public:
  // Called on several threads at a time; it blocks one of them until it returns.
  using Handler = std::function<Response(const Request&)>;

  // Takes the address; nothing is answered yet. `address`: HOST:PORT with a literal IP address or localhost; port 0:
  // any. INVALID_ARGUMENT for another host, UNAVAILABLE for an address that cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Listen(const std::string& address, Handler handler,
                                                        const Limits& limits = {});
  ~Server();  // Stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // With the port filled in: "127.0.0.1:43211".
  const std::string& address() const;

  int64_t CountConnections() const;
  int64_t CountRefusedConnections() const;  // because too many were open

  // Answers from now on. REQUIRES: called once.
  void Serve();

  // Accepts nothing anew, gives requests that are being answered kStopGrace to end, and drops the connections. May be
  // called again.
  void Stop();
  static constexpr absl::Duration kStopGrace = absl::Milliseconds(500);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_SERVER_H_
