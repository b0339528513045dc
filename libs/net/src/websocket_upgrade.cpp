#include "with_openssl/openssl.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <sluice/http_semantics/field_text.h>
#include <sluice/net/websocket.h>

namespace sluice::net {
namespace {

// RFC 6455, 1.3.
constexpr std::string_view kAcceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kMaxHeaders = 64;
constexpr std::size_t kKeySize = 24;  // base64 of 16 bytes

/// What the request says, as views into its bytes.
struct Request {
  std::string_view method;
  std::string_view path;
  std::string_view version;
  std::string_view upgrade;
  std::string_view connection;
  std::string_view key;
  std::string_view socket_version;
  std::string_view protocols;
  std::string_view origin;
  bool has_origin = false;
  bool has_host = false;
  bool has_body = false;
};

/// The first item of a list separated by commas that `wanted` says yes to.
template <typename Wanted>
std::string_view find_item(std::string_view list, Wanted wanted) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view item = http::trim(list.substr(0, comma));
    if (wanted(item)) return item;
    if (comma == list.npos) break;
    list.remove_prefix(comma + 1);
  }
  return {};
}

bool has_token(std::string_view list, std::string_view token) {
  return !find_item(list, [token](std::string_view item) {
            return http::equal_ignoring_case(item, token);
          }).empty();
}

bool read_request_line(std::string_view line, Request& out) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == line.npos || first == 0 || last <= first + 1) return false;
  out.method = line.substr(0, first);
  out.path = line.substr(first + 1, last - first - 1);
  out.version = line.substr(last + 1);
  if (out.path.find(' ') != out.path.npos || !out.path.starts_with('/')) return false;
  out.path = out.path.substr(0, out.path.find('?'));
  return out.version.starts_with("HTTP/1.") && out.version.size() == 8;
}

/// Keeps the headers that matter. Two of a kind that must be single read differently to different
/// programs, so they are an error.
bool keep_header(std::string_view name, std::string_view value, Request& out) {
  const auto once = [&value](std::string_view& field) {
    if (!field.empty() || value.empty()) return false;
    field = value;
    return true;
  };
  if (http::equal_ignoring_case(name, "upgrade")) return once(out.upgrade);
  if (http::equal_ignoring_case(name, "connection")) return once(out.connection);
  if (http::equal_ignoring_case(name, "sec-websocket-key")) return once(out.key);
  if (http::equal_ignoring_case(name, "sec-websocket-version")) return once(out.socket_version);
  if (http::equal_ignoring_case(name, "sec-websocket-protocol")) return once(out.protocols);
  if (http::equal_ignoring_case(name, "origin")) {
    out.has_origin = true;
    return once(out.origin);
  }
  if (http::equal_ignoring_case(name, "host")) return !std::exchange(out.has_host, true);
  if (http::equal_ignoring_case(name, "content-length") && value != "0") out.has_body = true;
  if (http::equal_ignoring_case(name, "transfer-encoding")) out.has_body = true;
  return true;
}

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_field_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}

/// `head` without the empty line at its end.
std::optional<Request> parse(std::string_view head) {
  Request out;
  std::size_t count = 0;
  for (bool is_first = true; !head.empty(); is_first = false) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    if (!std::ranges::all_of(line, is_field_char)) return std::nullopt;
    if (is_first) {
      if (!read_request_line(line, out)) return std::nullopt;
      continue;
    }
    const std::size_t colon = line.find(':');
    if (++count > kMaxHeaders || colon == line.npos || colon == 0 ||
        !std::ranges::all_of(line.substr(0, colon), is_token_char) ||
        !keep_header(line.substr(0, colon), http::trim(line.substr(colon + 1)), out)) {
      return std::nullopt;
    }
  }
  if (out.method.empty() || !out.has_host) return std::nullopt;
  return out;
}

std::string base64(std::span<const unsigned char> bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string accept_value(std::string_view key) {
  const std::string text = std::string(key) + std::string(kAcceptGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64(std::span(digest).first(size));
}

bool is_key(std::string_view key) {
  return key.size() == kKeySize && key.ends_with("==") &&
         std::ranges::all_of(key.substr(0, kKeySize - 2), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '+' || c == '/';
         });
}

std::string_view status_text(int status) {
  switch (status) {
    case 403:
      return "403 Forbidden";
    case 404:
      return "404 Not Found";
    case 405:
      return "405 Method Not Allowed\r\nAllow: GET";
    case 426:
      return "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    case 431:
      return "431 Request Header Fields Too Large";
    default:
      return "400 Bad Request";
  }
}

WebSocketUpgrade::Outcome refuse(int status) {
  return {.state = WebSocketUpgrade::State::kRefused,
          .status = status,
          .response = "HTTP/1.1 " + std::string(status_text(status)) +
                      "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"};
}

/// 101, or why not.
int judge(const Request& request, const WebSocketOptions& options) {
  if (request.method != "GET") return 405;
  if (request.path != options.path) return 404;
  if (request.version != "HTTP/1.1" || request.has_body) return 400;
  if (!has_token(request.upgrade, "websocket") || !has_token(request.connection, "upgrade") ||
      request.socket_version != "13") {
    return 426;
  }
  if (!is_key(request.key)) return 400;
  if (request.has_origin && !options.allowed_origins.empty() &&
      !std::ranges::contains(options.allowed_origins, request.origin)) {
    return 403;
  }
  return 101;
}

}  // namespace

WebSocketUpgrade::Outcome WebSocketUpgrade::read(std::string_view bytes,
                                                 const WebSocketOptions& options) {
  const std::string_view limited = bytes.substr(0, kMaxUpgradeBytes);
  // The end may straddle what was searched before, by three of its four bytes.
  const std::size_t end = limited.find("\r\n\r\n", searched_);
  if (end == limited.npos) {
    searched_ = limited.size() > 3 ? limited.size() - 3 : 0;
    if (bytes.size() >= kMaxUpgradeBytes) return refuse(431);
    return {};
  }
  const auto request = parse(limited.substr(0, end));
  if (!request) return refuse(400);
  const int status = judge(*request, options);
  if (status != 101) return refuse(status);
  // [MQTT-6.0.0-3]: the client must offer "mqtt"; 3.1 clients say "mqttv3.1".
  const std::string_view protocol = find_item(request->protocols, [](std::string_view item) {
    return item == "mqtt" || item == "mqttv3.1";
  });
  if (protocol.empty()) return refuse(400);
  return {.state = State::kAccepted,
          .consumed = end + 4,
          .status = 101,
          .response =
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
              accept_value(request->key) + "\r\nSec-WebSocket-Protocol: " + std::string(protocol) +
              "\r\n\r\n"};
}

}  // namespace sluice::net
