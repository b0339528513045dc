#include "raw_client.h"

#include <cerrno>
#include <cstdlib>
#include <format>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

// Not a test: found by its name, as everything that is linked into the tests alone.
namespace sluice::service {

RawClient::RawClient(const std::string& address)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  const std::size_t colon = address.rfind(':');
  target.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1) {
    throw std::runtime_error("not an address: " + address);
  }
  // A test that hangs says nothing; one that fails after this does.
  const timeval patience{.tv_sec = 30, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&target), sizeof target) != 0) {
    const int reason = errno;
    close(fd_);
    throw std::system_error(reason, std::generic_category(), "connect " + address);
  }
}

RawClient::~RawClient() { close(fd_); }

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

std::string RawClient::receive_all() {
  std::string out;
  char piece[4096];
  while (true) {
    const ssize_t size = recv(fd_, piece, sizeof piece, 0);
    if (size <= 0) return out;
    out.append(piece, static_cast<std::size_t>(size));
  }
}

std::string ask(const std::string& address, std::string_view bytes) {
  RawClient client(address);
  client.send(bytes);
  return client.receive_all();
}

std::string get(const std::string& address, std::string_view path, std::string_view headers) {
  return ask(address, std::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n", path, headers));
}

std::string post(const std::string& address, std::string_view path, std::string_view headers) {
  return ask(address, std::format("POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n", path, headers));
}

int status_of(std::string_view answer) {
  constexpr std::string_view kProtocol = "HTTP/1.1 ";
  if (!answer.starts_with(kProtocol)) return 0;
  return std::atoi(std::string(answer.substr(kProtocol.size(), 3)).c_str());
}

std::string body_of(std::string_view answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string_view::npos ? "" : std::string(answer.substr(end + 4));
}

}  // namespace sluice::service
