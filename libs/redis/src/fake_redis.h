#pragma once

#include <atomic>
#include <cstdint>
#include <format>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::redis {

/// A server that answers as a test says, for what a real one cannot be made to do on demand:
/// refusing one command, being slow, telling of a Cluster that changes. A thread for each
/// connection.
class FakeRedis {
 public:
  using Words = std::vector<std::string>;
  /// The answer in wire form; may take its time. Called by the connections' threads.
  using Answer = std::function<std::string(const Words&)>;

  explicit FakeRedis(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic =
        reinterpret_cast<sockaddr*>(&address);  // the socket API's way of naming addresses
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~FakeRedis() {
    shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (const int fd : fds_) shutdown(fd, SHUT_RDWR);
    for (std::thread& thread : serving_) thread.join();
    for (const int fd : fds_) close(fd);
    close(listener_);
  }
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return std::format("redis://127.0.0.1:{}", port_); }
  int connections() const { return connections_; }
  int open_connections() const { return open_; }
  /// The first argument but the key of all commands of this name, in the order of their arrival.
  std::vector<std::string> received(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const Words& words : received_) {
      if (words.front() == name) out.push_back(words.size() > 2 ? words[2] : "");
    }
    return out;
  }

  /// The answer to CLUSTER SLOTS where one node on this machine serves every slot.
  static std::string all_slots_at(std::uint16_t port) {
    return std::format("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{}\r\n$2\r\nid\r\n",
                       port);
  }

 private:
  void accept_all() {
    for (int fd = 0; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      ++connections_;
      ++open_;
      fds_.push_back(fd);
      serving_.emplace_back([this, fd] {
        serve(fd);
        shutdown(fd, SHUT_RDWR);
        --open_;
      });
    }
  }

  void serve(int fd) {
    std::string buffer;
    while (true) {
      Words words;
      if (!take_command(fd, buffer, words)) return;
      {
        const std::lock_guard lock(mutex_);
        received_.push_back(words);
      }
      const std::string answer = answer_(words);
      if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) != std::ssize(answer)) return;
    }
  }

  static bool take_line(int fd, std::string& buffer, std::string& line) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n")) == std::string::npos) {
      char piece[4096];
      const ssize_t size = recv(fd, piece, sizeof piece, 0);
      if (size <= 0) return false;
      buffer.append(piece, static_cast<std::size_t>(size));
    }
    line = buffer.substr(0, end);
    buffer.erase(0, end + 2);
    return true;
  }

  /// Words must hold no line ends.
  static bool take_command(int fd, std::string& buffer, Words& words) {
    std::string line;
    if (!take_line(fd, buffer, line)) return false;
    words.resize(std::stoul(line.substr(1)));
    for (std::string& word : words) {
      if (!take_line(fd, buffer, line) || !take_line(fd, buffer, word)) return false;
    }
    return true;
  }

  const Answer answer_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::atomic<int> open_ = 0;
  mutable std::mutex mutex_;
  std::vector<Words> received_;
  std::vector<int> fds_;  // of the accepting thread, until it has ended
  std::vector<std::thread> serving_;
  std::thread accepting_;
};

}  // namespace sluice::redis
