// The listener over real sockets, against clients that misbehave.
#include "daemon/http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kPatienceMs = 20'000;  // what hangs fails the test; nothing else waits so long

class Client {
 public:
  explicit Client(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(static_cast<uint16_t>(port));
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)), 0);
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return;  // the server has closed: what it answered is still there
      }
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void End() { ::shutdown(socket_.get(), SHUT_WR); }

  // What comes until the text ends in `end`, or the server closes.
  std::string ReadUntil(std::string_view end) {
    std::string text;
    while (end.empty() || !text.ends_with(end)) {
      pollfd event{.fd = socket_.get(), .events = POLLIN, .revents = 0};
      char bytes[4096];
      const ssize_t got = ::poll(&event, 1, kPatienceMs) == 1 ? ::recv(socket_.get(), bytes, sizeof(bytes), 0) : -1;
      if (got <= 0) {
        EXPECT_GE(got, 0) << "no end within 20 s, or a reset, after: " << text;
        return text;
      }
      text.append(bytes, static_cast<size_t>(got));
    }
    return text;
  }
  std::string ReadAll() { return ReadUntil(""); }

 private:
  const UniqueFd socket_;
};

class ServerTest : public ::testing::Test {
 protected:
  void Start(const Limits& limits = {}) {
    auto server = Server::Listen(
        "127.0.0.1:0",
        [this](const Request& request) {
          if (request.target == "/slow") {
            release_.WaitForNotification();
          }
          return Response{.body = request.method + " " + request.target + " " + request.body + "."};
        },
        limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Serve();
  }
  std::string Exchange(std::string_view bytes) {
    Client client(server_->address());
    client.Send(bytes);
    client.End();
    return client.ReadAll();
  }

  absl::Notification release_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, RequestsOfOneConnectionAreAnsweredInOrder) {
  Start();
  const std::string text = Exchange(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
      "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_LT(text.find("GET /1 ."), text.find("POST /2 body."));
  EXPECT_LT(text.find("POST /2 body."), text.find("GET /3 ."));
  EXPECT_THAT(text, EndsWith("GET /3 ."));
}

TEST_F(ServerTest, ChunkedBodyIsPutTogether) {
  Start();
  EXPECT_THAT(
      Exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
      EndsWith("POST / abc."));
}

TEST_F(ServerTest, HeadHasTheLengthAndNoBody) {
  Start();
  const std::string text = Exchange("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(text, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
}

TEST_F(ServerTest, ClientThatAsksMayGoOn) {
  Start();
  Client client(server_->address());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 100 "));
  client.Send("ok");
  client.End();
  EXPECT_THAT(client.ReadAll(), EndsWith("POST / ok."));
}

TEST_F(ServerTest, BodyOverTheLimitIsRefusedWhetherAnnouncedOrNot) {
  Start({.body_bytes = 100});
  EXPECT_THAT(Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" +
                       std::string(128, 'x') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'x')),
              StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, RefusalArrivesThoughTheClientIsStillWriting) {
  Start();
  const std::string text =
      Exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'x'));
  EXPECT_THAT(text, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(text, HasSubstr("PAYLOAD_TOO_LARGE"));
}

TEST_F(ServerTest, HeaderOverTheLimitIsRefused) {
  Start();
  EXPECT_THAT(Exchange("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Exchange("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST_F(ServerTest, WhatIsNoHttpIsRefused) {
  Start();
  for (const char* text :
       {"\x16\x03\x01\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_THAT(Exchange(text), StartsWith("HTTP/1.1 400 ")) << text;
  }
}

TEST_F(ServerTest, ClientThatFallsSilentLosesItsConnection) {
  Start({.header_time = absl::Milliseconds(50), .body_time = absl::Milliseconds(50)});
  for (const char* part : {"", "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"}) {
    Client client(server_->address());
    client.Send(part);
    EXPECT_EQ(client.ReadAll(), "") << part;
  }
}

TEST_F(ServerTest, TricklingBytesDoesNotBuyTime) {
  Start({.header_time = absl::Milliseconds(200)});
  Client client(server_->address());
  const absl::Time start = absl::Now();
  client.Send("GET / HTTP/1.1\r\n");
  while (server_->CountConnections() > 0 || absl::Now() - start < absl::Milliseconds(100)) {
    client.Send("X: y\r\n");
    absl::SleepFor(absl::Milliseconds(5));
    ASSERT_LT(absl::Now() - start, absl::Seconds(20));
  }
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreClosed) {
  Start({.connections = 1});
  Client first(server_->address());
  first.Send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  first.ReadUntil("GET /1 .");
  Client second(server_->address());
  EXPECT_EQ(second.ReadAll(), "");
  EXPECT_EQ(server_->CountRefusedConnections(), 1);
  first.Send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  first.ReadUntil("GET /2 .");
}

TEST_F(ServerTest, TwoHostsAreNone) {
  auto server = Server::Listen("127.0.0.1:0", [](const Request& request) { return Response{.body = request.host}; });
  ASSERT_TRUE(server.ok());
  (*server)->Serve();
  Client client((*server)->address());
  client.Send("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n");
  client.End();
  EXPECT_THAT(client.ReadAll(), Not(HasSubstr("localhost")));
}

TEST_F(ServerTest, StopLetsAnAnswerEndAndDropsIdleConnections) {
  Start();
  Client idle(server_->address());
  Client busy(server_->address());
  busy.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  while (server_->CountConnections() < 2) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  release_.Notify();
  busy.ReadUntil("GET /slow .");
  server_->Stop();
  server_->Stop();
  server_.reset();
  EXPECT_EQ(idle.ReadAll(), "");
}

TEST_F(ServerTest, AddressThatIsTakenOrNoneIsRefused) {
  Start();
  const auto handler = [](const Request&) { return Response(); };
  EXPECT_EQ(Server::Listen(server_->address(), handler).status().code(), absl::StatusCode::kUnavailable);
  for (const char* address : {"", "127.0.0.1", "nowhere.example:1", "127.0.0.1:x", "127.0.0.1:99999", ":1"}) {
    EXPECT_EQ(Server::Listen(address, handler).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
  EXPECT_THAT(server_->address(), StartsWith("127.0.0.1:"));
}

}  // namespace
}  // namespace dsocr::http
