#include "kafka_relay.h"

#include <array>
#include <format>
#include <stdexcept>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sluice::front::testing {
namespace {

constexpr std::string_view kHost = "127.0.0.1";

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool receive_all(int fd, char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(fd, bytes, size, 0);
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

/// Host and port as Kafka's protocol has them, one behind the other.
std::string place(std::uint16_t port) {
  return std::string(kHost) + std::string(2, '\0') + static_cast<char>(port >> 8) +
         static_cast<char>(port & 0xFF);
}

void copy(int from, int to) {
  std::array<char, 64 * 1024> buffer;
  while (true) {
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
    if (got <= 0 || !send_all(to, {buffer.data(), static_cast<std::size_t>(got)})) break;
  }
  ::shutdown(to, SHUT_RDWR);
  ::shutdown(from, SHUT_RDWR);
}

/// Frame by frame, so that an address is never cut in two.
void copy_answers(int from, int to, const std::string& broker, const std::string& proxy) {
  std::uint32_t size = 0;
  while (receive_all(from, reinterpret_cast<char*>(&size), sizeof size)) {
    std::string frame(sizeof size + ntohl(size), '\0');
    frame.replace(0, sizeof size, reinterpret_cast<const char*>(&size), sizeof size);
    if (!receive_all(from, frame.data() + sizeof size, ntohl(size))) break;
    for (std::size_t at = frame.find(broker); at != std::string::npos; at = frame.find(broker)) {
      frame.replace(at, broker.size(), proxy);
    }
    if (!send_all(to, frame)) break;
  }
  ::shutdown(to, SHUT_RDWR);
  ::shutdown(from, SHUT_RDWR);
}

}  // namespace

KafkaRelay::KafkaRelay(const std::string& broker)
    : broker_port_(static_cast<std::uint16_t>(std::stoi(broker.substr(broker.rfind(':') + 1)))),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.fd(), generic, size) != 0 || ::listen(listener_.fd(), 64) != 0 ||
      ::getsockname(listener_.fd(), generic, &size) != 0) {
    throw std::runtime_error("no relay for Kafka");
  }
  auto proxy = sluice::testing::FaultProxy::start(
      {.target = std::format("{}:{}", kHost, ntohs(address.sin_port))});
  if (!proxy) throw std::runtime_error(proxy.error().message());
  proxy_ = *std::move(proxy);
  acceptor_ = std::jthread([this] { accept_all(); });
}

KafkaRelay::~KafkaRelay() {
  is_stopping_ = true;
  ::shutdown(listener_.fd(), SHUT_RDWR);
  acceptor_.join();
  for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
  threads_.clear();
  for (const int fd : fds_) static_cast<void>(net::Socket(fd));
}

void KafkaRelay::accept_all() {
  while (!is_stopping_) {
    const int client = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) serve(client);
  }
}

void KafkaRelay::serve(int client) {
  const int broker = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in target = loopback(broker_port_);
  fds_.insert(fds_.end(), {client, broker});  // closed at the end: threads may still use them
  if (::connect(broker, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    ::shutdown(client, SHUT_RDWR);
    return;
  }
  threads_.emplace_back([client, broker] { copy(client, broker); });
  threads_.emplace_back([this, client, broker] {
    copy_answers(broker, client, place(broker_port_), place(proxy_->port()));
  });
}

}  // namespace sluice::front::testing
