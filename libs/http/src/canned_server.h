#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

// Servers that answer whatever a test wants, for what a client must survive.
namespace sluice::http::testing {

/// What a CannedServer does with a connection: sends bytes until the peer has gone.
class CannedPeer {
 public:
  explicit CannedPeer(int fd) : fd_(fd) {}
  /// False once the client has left.
  bool send(std::string_view bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
  }
  /// Until the client has left, or has said nothing for `pause`.
  bool is_there_after(std::chrono::milliseconds pause) const {
    pollfd watched{.fd = fd_, .events = POLLRDHUP, .revents = 0};
    return poll(&watched, 1, static_cast<int>(pause.count())) == 0;
  }
  int fd() const { return fd_; }
  void wait_for_request() const {
    std::array<char, 4096> ignored{};
    static_cast<void>(recv(fd_, ignored.data(), ignored.size(), 0) > 0);
  }

 private:
  int fd_;
};

/// Does the same with every connection, then closes it.
class CannedServer {
 public:
  using Behaviour = std::function<void(const CannedPeer&)>;

  explicit CannedServer(Behaviour behave) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    authority = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::jthread([this, behave = std::move(behave)] {
      while (true) {
        const int peer = accept(fd_, nullptr, nullptr);
        if (peer < 0) return;
        ++connections;
        behave(CannedPeer(peer));
        close(peer);
      }
    });
  }
  /// Waits for a request and answers with these bytes.
  explicit CannedServer(std::string bytes)
      : CannedServer([bytes = std::move(bytes)](const CannedPeer& peer) {
          peer.wait_for_request();
          peer.send(bytes);
        }) {}
  ~CannedServer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }

  std::string url() const { return "http://" + authority + "/"; }

  std::string authority;
  std::atomic<int> connections = 0;

 private:
  int fd_;
  std::jthread thread_;
};

}  // namespace sluice::http::testing
