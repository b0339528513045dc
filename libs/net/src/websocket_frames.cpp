#include <algorithm>
#include <bit>
#include <cstring>

#include <sluice/net/websocket.h>

namespace sluice::net {
namespace {

constexpr std::uint8_t kContinuation = 0;
constexpr std::uint8_t kText = 1;
constexpr std::uint8_t kBinary = 2;
constexpr std::uint8_t kClose = 8;
constexpr std::uint8_t kPing = 9;
constexpr std::uint8_t kPong = 10;

bool is_control(std::uint8_t opcode) { return opcode >= kClose; }

/// Eight bytes at a time; the compiler makes more of it where it can.
void unmask(std::span<std::byte> bytes, const std::array<std::byte, 4>& mask, std::uint8_t& at) {
  std::array<std::byte, 8> turned{};
  for (std::size_t i = 0; i < 8; ++i) turned[i] = mask[(at + i) % 4];
  const auto wide = std::bit_cast<std::uint64_t>(turned);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[i], 8);
    word ^= wide;
    std::memcpy(&bytes[i], &word, 8);
  }
  for (; i < bytes.size(); ++i) bytes[i] ^= turned[i % 8];
  at = static_cast<std::uint8_t>((at + bytes.size()) % 4);
}

/// RFC 6455, 7.4: what a peer may say as its reason for closing.
bool is_close_code(std::uint16_t code) {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

}  // namespace

WebSocketDecoder::Event WebSocketDecoder::next(std::span<std::byte>& input) {
  while (!is_over_) {
    if (!in_frame_) {
      if (!take_header(input)) return {};
      if (!start_frame()) break;
    }
    if (is_control(opcode_)) return take_control(input);
    if (left_ == 0) {
      in_frame_ = false;  // an empty frame, or the end of one
      continue;
    }
    if (input.empty()) return {};
    return take_data(input);
  }
  if (error_ == WebSocketClose::kNormal) input = {};  // after a close, everything is ignored
  if (error_ == WebSocketClose::kNormal) return {};
  return {.kind = Kind::kError, .error = error_};
}

std::size_t WebSocketDecoder::header_size() const {
  if (header_have_ < 2) return 2;
  const auto length = std::to_integer<std::uint8_t>(header_[1] & std::byte{0x7F});
  const bool is_masked = (header_[1] & std::byte{0x80}) != std::byte{0};
  const std::size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
  // An unmasked frame is refused once its first two bytes are known.
  return is_masked ? 2 + extra + 4 : 2;
}

bool WebSocketDecoder::take_header(std::span<std::byte>& input) {
  while (header_have_ < header_size()) {
    if (input.empty()) return false;
    const std::size_t taken = std::min(header_size() - header_have_, input.size());
    std::copy_n(input.begin(), taken, header_.begin() + header_have_);
    header_have_ = static_cast<std::uint8_t>(header_have_ + taken);
    input = input.subspan(taken);
  }
  return true;
}

bool WebSocketDecoder::refuse(WebSocketClose error) {
  is_over_ = true;
  error_ = error;
  return false;
}

bool WebSocketDecoder::start_frame() {
  const auto first = std::to_integer<std::uint8_t>(header_[0]);
  const auto second = std::to_integer<std::uint8_t>(header_[1]);
  const bool is_final = (first & 0x80) != 0;
  opcode_ = first & 0x0F;
  // No extension was negotiated, so the reserved bits are 0; a client masks (RFC 6455, 5.1, 5.2).
  if ((first & 0x70) != 0 || (second & 0x80) == 0) return refuse(WebSocketClose::kProtocolError);
  const std::size_t length_bytes = header_have_ - 6U;
  left_ = second & 0x7F;
  if (length_bytes > 0) {
    left_ = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) {
      left_ = left_ << 8 | std::to_integer<std::uint64_t>(header_[2 + i]);
    }
    // The shortest form is demanded, as is the top bit of 64 being 0 (5.2).
    if (left_ < (length_bytes == 2 ? 126U : 65'536U) || left_ >> 63 != 0) {
      return refuse(WebSocketClose::kProtocolError);
    }
  }
  std::copy_n(header_.begin() + header_have_ - 4, 4, mask_.begin());
  header_have_ = 0;
  mask_at_ = 0;
  in_frame_ = true;
  control_have_ = 0;
  switch (opcode_) {
    case kPing:
    case kPong:
    case kClose:
      if (!is_final || left_ > kMaxControl) return refuse(WebSocketClose::kProtocolError);
      return true;
    case kContinuation:
      if (!in_message_) return refuse(WebSocketClose::kProtocolError);
      break;
    case kBinary:
      if (in_message_) return refuse(WebSocketClose::kProtocolError);
      break;
    case kText:  // [MQTT-6.0.0-1]
      return refuse(WebSocketClose::kUnsupportedData);
    default:
      return refuse(WebSocketClose::kProtocolError);
  }
  in_message_ = !is_final;
  return left_ <= max_frame_bytes_ || refuse(WebSocketClose::kTooBig);
}

WebSocketDecoder::Event WebSocketDecoder::take_data(std::span<std::byte>& input) {
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  const std::span<std::byte> payload = input.first(taken);
  unmask(payload, mask_, mask_at_);
  input = input.subspan(taken);
  left_ -= taken;
  in_frame_ = left_ > 0;
  return {.kind = Kind::kData, .payload = payload};
}

WebSocketDecoder::Event WebSocketDecoder::take_control(std::span<std::byte>& input) {
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  std::copy_n(input.begin(), taken, control_.begin() + control_have_);
  unmask(std::span(control_).subspan(control_have_, taken), mask_, mask_at_);
  control_have_ = static_cast<std::uint8_t>(control_have_ + taken);
  input = input.subspan(taken);
  left_ -= taken;
  if (left_ > 0) return {};
  in_frame_ = false;
  return finish_control();
}

WebSocketDecoder::Event WebSocketDecoder::finish_control() {
  const std::span<std::byte> payload = std::span(control_).first(control_have_);
  if (opcode_ == kPing) return {.kind = Kind::kPing, .payload = payload};
  if (opcode_ == kPong) return {.kind = Kind::kPong, .payload = payload};
  is_over_ = true;
  if (payload.empty()) return {.kind = Kind::kClose, .payload = payload};
  const auto high = payload.size() > 1 ? std::to_integer<unsigned>(payload[0]) : 0U;
  const auto low = payload.size() > 1 ? std::to_integer<unsigned>(payload[1]) : 0U;
  if (!is_close_code(static_cast<std::uint16_t>(high << 8 | low))) {
    refuse(WebSocketClose::kProtocolError);
    return {.kind = Kind::kError, .error = error_};
  }
  return {.kind = Kind::kClose, .payload = payload};
}

std::size_t encode_websocket_header(WebSocketOpcode opcode, std::uint64_t payload_bytes,
                                    std::span<std::byte, kMaxServerHeader> out) {
  out[0] = std::byte{0x80} | static_cast<std::byte>(opcode);
  std::size_t extra = 0;
  if (payload_bytes < 126) {
    out[1] = static_cast<std::byte>(payload_bytes);
  } else {
    extra = payload_bytes <= 0xFFFF ? 2 : 8;
    out[1] = extra == 2 ? std::byte{126} : std::byte{127};
  }
  for (std::size_t i = 0; i < extra; ++i) {
    out[2 + i] = static_cast<std::byte>(payload_bytes >> (8 * (extra - 1 - i)));
  }
  return 2 + extra;
}

std::array<std::byte, 4> encode_websocket_close(WebSocketClose code) {
  const auto value = static_cast<std::uint16_t>(code);
  return {std::byte{0x88}, std::byte{2}, static_cast<std::byte>(value >> 8),
          static_cast<std::byte>(value)};
}

}  // namespace sluice::net
