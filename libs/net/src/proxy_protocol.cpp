#include <sluice/net/proxy_protocol.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include <arpa/inet.h>

namespace sluice::net {
namespace {

constexpr std::string_view kSignature2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kFixed2 = 16;
constexpr std::string_view kSignature1 = "PROXY ";
constexpr std::size_t kMaxLine1 = 107;  // with CRLF; the specification counted

constexpr std::size_t kAddresses4 = 12;  // two IPv4 addresses and ports
constexpr std::size_t kAddresses6 = 36;

ProxyHeader invalid() { return {.state = ProxyHeader::State::kInvalid}; }

ProxyHeader complete(std::size_t consumed, std::optional<SocketAddress> source) {
  return {.state = ProxyHeader::State::kComplete, .consumed = consumed, .source = source};
}

std::uint16_t big_endian(std::string_view bytes) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                    static_cast<unsigned char>(bytes[1]));
}

/// IPv4-mapped addresses in an IPv6 header come out as IPv4 of themselves.
SocketAddress source_of(std::string_view address, std::string_view port) {
  if (address.size() == 4) {
    std::array<std::uint8_t, 4> ip{};
    std::memcpy(ip.data(), address.data(), ip.size());
    return SocketAddress::v4(ip, big_endian(port));
  }
  SocketAddress out;
  std::memcpy(out.ip.data(), address.data(), out.ip.size());
  out.port = big_endian(port);
  return out;
}

ProxyHeader read_binary(std::string_view text) {
  if (text.size() < kFixed2) return {};
  const auto version_command = static_cast<unsigned char>(text[12]);
  const auto family = static_cast<unsigned char>(text[13]);
  const std::size_t size = big_endian(text.substr(14));
  const unsigned command = version_command & 0x0F;
  if (version_command >> 4 != 2 || command > 1) return invalid();
  if (kFixed2 + size > kMaxProxyHeaderBytes) return invalid();
  if (text.size() < kFixed2 + size) return {};
  const std::string_view body = text.substr(kFixed2, size);
  if (command == 0) return complete(kFixed2 + size, std::nullopt);  // LOCAL: a health check
  if (family == 0x11) {
    if (body.size() < kAddresses4) return invalid();
    return complete(kFixed2 + size, source_of(body.substr(0, 4), body.substr(8, 2)));
  }
  if (family == 0x21) {
    if (body.size() < kAddresses6) return invalid();
    return complete(kFixed2 + size, source_of(body.substr(0, 16), body.substr(32, 2)));
  }
  // Unspecified, UDP or a UNIX socket: the receiver must accept and use the real peer.
  return complete(kFixed2 + size, std::nullopt);
}

/// Decimal without sign or leading zeros, as the specification has it.
std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_padded = text.size() > 1 && text.front() == '0';
  if (error != std::errc() || end != text.data() + text.size() || is_padded) return std::nullopt;
  return port;
}

std::optional<SocketAddress> read_address(int family, std::string_view text, std::uint16_t port) {
  // Or inet_pton() would believe what stands before it, and another reader what stands behind.
  if (text.contains('\0')) return std::nullopt;
  const std::string zero_ended(text);
  std::array<std::uint8_t, 16> ip{};
  if (inet_pton(family, zero_ended.c_str(), ip.data()) != 1) return std::nullopt;
  if (family == AF_INET) return SocketAddress::v4({ip[0], ip[1], ip[2], ip[3]}, port);
  SocketAddress out;
  out.ip = ip;
  out.port = port;
  return out;
}

ProxyHeader read_line(std::string_view text) {
  const std::size_t end = text.substr(0, kMaxLine1).find("\r\n");
  if (end == text.npos) return text.size() >= kMaxLine1 ? invalid() : ProxyHeader{};
  std::string_view line = text.substr(kSignature1.size(), end - kSignature1.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return complete(end + 2, std::nullopt);
  std::array<std::string_view, 5> words;  // family, source, destination, and their ports
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t blank = line.find(' ');
    const bool is_last = i + 1 == words.size();
    if ((blank == line.npos) != is_last) return invalid();
    words[i] = line.substr(0, blank);
    line.remove_prefix(is_last ? line.size() : blank + 1);
  }
  const auto from_port = read_port(words[3]);
  const auto to_port = read_port(words[4]);
  if ((words[0] != "TCP4" && words[0] != "TCP6") || !from_port || !to_port) return invalid();
  const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
  const auto source = read_address(family, words[1], *from_port);
  if (!source || !read_address(family, words[2], *to_port)) return invalid();
  return complete(end + 2, source);
}

/// Whether `text` begins with `signature`, as far as it goes.
bool may_begin_with(std::string_view text, std::string_view signature) {
  const std::size_t size = std::min(text.size(), signature.size());
  return text.substr(0, size) == signature.substr(0, size);
}

}  // namespace

ProxyHeader read_proxy_header(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (may_begin_with(text, kSignature2)) return read_binary(text);
  if (!may_begin_with(text, kSignature1)) return invalid();
  return text.size() < kSignature1.size() ? ProxyHeader{} : read_line(text);
}

}  // namespace sluice::net
