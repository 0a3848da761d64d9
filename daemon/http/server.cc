#include "daemon/http/server.h"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <thread>
#include <utility>  // boost/asio/awaitable.hpp of Boost 1.74 does not include what it uses
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "boost/asio/awaitable.hpp"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/redirect_error.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/core/tcp_stream.hpp"
#include "boost/beast/http.hpp"
#include "fmt/format.h"

namespace dsocr::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Parser = wire::request_parser<wire::string_body>;

// Requests that are answered at a time. A report takes a hundred milliseconds, one after another; the rest takes one.
constexpr int kThreads = 4;
constexpr size_t kReadAhead = 8 << 10;                         // of the next request, beyond a whole header
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);  // where descriptors or memory ran out
// A client that is refused may still be writing: what it writes is read for a moment, or the kernel would answer it
// with a reset that overtakes our response.
constexpr auto kLinger = std::chrono::seconds(1);
constexpr size_t kLingerBytes = 4 << 20;

auto Caught(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

std::chrono::nanoseconds Chrono(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

// Whether the client sent something that is no request, rather than going away or falling silent.
bool IsMalformed(const error_code& error) {
  return error.category() == make_error_code(wire::error::bad_method).category() &&
         error != wire::error::end_of_stream && error != wire::error::partial_message;
}

Response RefusalOf(const error_code& error, const Limits& limits) {
  if (error == wire::error::body_limit) {
    return Refuse(413, "PAYLOAD_TOO_LARGE",
                  fmt::format("body: it has over {} bytes; a request is a page of JSON", limits.body_bytes));
  }
  if (error == wire::error::header_limit || error == wire::error::buffer_overflow) {
    return Refuse(431, "HEADER_TOO_LARGE",
                  fmt::format("header: it has over {} bytes; send fewer or shorter fields", limits.header_bytes));
  }
  return Refuse(absl::InvalidArgumentError(fmt::format("request: no HTTP/1.1: {}", error.message())));
}

Request RequestOf(Parser::value_type&& message) {
  const auto field = [&](wire::field name) { return std::string(message[name]); };
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  if (message.count(wire::field::host) == 1) {  // two of them mean nobody
    request.host = field(wire::field::host);
  }
  request.content_type = field(wire::field::content_type);
  request.content_encoding = field(wire::field::content_encoding);
  request.body = std::move(message.body());
  return request;
}

wire::response<wire::string_body> MessageOf(Response response, unsigned version) {
  wire::response<wire::string_body> message(static_cast<wire::status>(response.status), version);
  message.set(wire::field::date, absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  message.set(wire::field::content_type, response.content_type);
  message.set(wire::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) {
    message.set(name, value);
  }
  message.body() = std::move(response.body);
  message.prepare_payload();
  return message;
}

absl::StatusOr<tcp::endpoint> EndpointOf(const std::string& address) {
  const size_t colon = std::min(address.rfind(':'), address.size());
  std::string host = address.substr(0, colon);
  if (host == "localhost") {
    host = "127.0.0.1";
  } else if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  const std::string digits = address.substr(std::min(colon + 1, address.size()));
  uint16_t port = 0;
  const auto [end, bad_port] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  error_code bad_host;
  const asio::ip::address ip = asio::ip::make_address(host, bad_host);
  if (bad_host || bad_port != std::errc() || end != digits.data() + digits.size()) {
    return absl::InvalidArgumentError(
        fmt::format("http '{}': no IP address and port; give one such as 127.0.0.1:8080", address));
  }
  return tcp::endpoint(ip, port);
}

}  // namespace

struct Server::Impl {
  Impl(Handler the_handler, const Limits& the_limits) : handler(std::move(the_handler)), limits(the_limits) {}

  absl::Status Listen(const std::string& address);
  void Run();
  void Stop();

  asio::awaitable<void> Accept();
  asio::awaitable<void> Serve(tcp::socket socket);
  // One request and its response; whether the connection takes another.
  asio::awaitable<bool> ServeOne(beast::tcp_stream& stream, beast::flat_buffer& buffer);

  // Counts its scope.
  struct Open {
    explicit Open(Impl* impl) : impl(impl) { ++impl->connections; }
    ~Open() { --impl->connections; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    Impl* const impl;
  };
  struct Busy {
    explicit Busy(Impl* impl) : impl(impl) { impl->AddBusy(1); }
    ~Busy() { impl->AddBusy(-1); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    Impl* const impl;
  };
  void AddBusy(int change) {
    absl::MutexLock lock(&mutex);
    busy += change;
  }

  const Handler handler;
  const Limits limits;
  std::string address;
  std::atomic<int64_t> connections = 0;
  std::atomic<int64_t> refused = 0;
  std::atomic<bool> is_stopping = false;
  absl::Mutex mutex;
  int busy ABSL_GUARDED_BY(mutex) = 0;  // requests being answered
  // Destroyed before what stands above: it holds the frames of the coroutines.
  asio::io_context io{kThreads};
  tcp::acceptor acceptor{asio::make_strand(io)};
  std::vector<std::thread> threads;
};

absl::Status Server::Impl::Listen(const std::string& wanted) {
  DSOCR_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, EndpointOf(wanted));
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error) {
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(tcp::acceptor::max_listen_connections, error);
  }
  if (error) {
    return absl::UnavailableError(
        fmt::format("http '{}': it cannot be served: {}; is another program using it?", wanted, error.message()));
  }
  const std::string host = endpoint.address().to_string();
  const uint16_t port = acceptor.local_endpoint(error).port();
  address = endpoint.address().is_v6() ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  return absl::OkStatus();
}

void Server::Impl::Run() {
  asio::co_spawn(acceptor.get_executor(), Accept(), asio::detached);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] { io.run(); });
  }
}

void Server::Impl::Stop() {
  if (threads.empty()) {
    return;
  }
  is_stopping = true;
  asio::post(acceptor.get_executor(), [this] {
    error_code ignored;
    acceptor.close(ignored);
  });
  {
    absl::MutexLock lock(&mutex);
    const auto is_quiet = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return busy == 0; };
    mutex.AwaitWithTimeout(absl::Condition(&is_quiet), kStopGrace);
  }
  io.stop();
  for (std::thread& thread : threads) {
    thread.join();
  }
  threads.clear();
}

asio::awaitable<void> Server::Impl::Accept() {
  while (!is_stopping) {
    error_code error;
    tcp::socket socket = co_await acceptor.async_accept(asio::make_strand(io), Caught(error));
    if (error) {
      asio::steady_timer pause(acceptor.get_executor(), kAcceptRetry);
      co_await pause.async_wait(Caught(error));
    } else if (connections >= limits.connections) {
      ++refused;
    } else {
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, Serve(std::move(socket)), asio::detached);
    }
  }
}

asio::awaitable<void> Server::Impl::Serve(tcp::socket socket) {
  const Open open(this);
  error_code error;
  socket.set_option(tcp::no_delay(true), error);
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer(limits.header_bytes + kReadAhead);
  while (co_await ServeOne(stream, buffer)) {
  }
  stream.socket().shutdown(tcp::socket::shutdown_send, error);
  stream.expires_after(kLinger);
  std::array<char, 4096> unread;
  for (size_t total = 0; !error && total < kLingerBytes;) {
    total += co_await stream.async_read_some(asio::buffer(unread), Caught(error));
  }
}

asio::awaitable<bool> Server::Impl::ServeOne(beast::tcp_stream& stream, beast::flat_buffer& buffer) {
  Parser parser;
  parser.header_limit(limits.header_bytes);
  parser.body_limit(limits.body_bytes);
  error_code error;
  stream.expires_after(Chrono(limits.header_time));
  co_await wire::async_read_header(stream, buffer, parser, Caught(error));
  if (!error) {
    stream.expires_after(Chrono(limits.body_time));
    if (beast::iequals(parser.get()[wire::field::expect], "100-continue")) {
      wire::response<wire::empty_body> go_on(wire::status::continue_, parser.get().version());
      co_await wire::async_write(stream, go_on, Caught(error));
    }
  }
  if (!error) {
    co_await wire::async_read(stream, buffer, parser, Caught(error));
  }
  if (error && !IsMalformed(error)) {
    co_return false;  // the client has gone, or is too slow
  }
  const Busy answering(this);
  const bool keep_alive = !error && parser.get().keep_alive() && !is_stopping;
  const bool is_head = parser.get().method() == wire::verb::head;
  const unsigned version = parser.get().version();
  wire::response<wire::string_body> response =
      MessageOf(error ? RefusalOf(error, limits) : handler(RequestOf(parser.release())), version == 0 ? 11 : version);
  response.keep_alive(keep_alive);
  wire::response_serializer<wire::string_body> serializer(response);
  error = {};
  stream.expires_after(Chrono(limits.write_time));
  if (is_head) {
    co_await wire::async_write_header(stream, serializer, Caught(error));
  } else {
    co_await wire::async_write(stream, serializer, Caught(error));
  }
  co_return keep_alive && !error;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Listen(const std::string& address, Handler handler,
                                                       const Limits& limits) {
  auto impl = std::make_unique<Impl>(std::move(handler), limits);
  DSOCR_RETURN_IF_ERROR(impl->Listen(address));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Stop(); }

const std::string& Server::address() const { return impl_->address; }

int64_t Server::CountConnections() const { return impl_->connections; }

int64_t Server::CountRefusedConnections() const { return impl_->refused; }

void Server::Serve() { impl_->Run(); }

void Server::Stop() { impl_->Stop(); }

}  // namespace dsocr::http
