#include <sluice/base/uuid.h>

#include <sluice/base/encoding.h>

namespace sluice {

std::string Uuid::to_string() const {
  std::string hex =
      to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});  // char views bytes
  for (std::size_t dash : {20U, 16U, 12U, 8U}) hex.insert(dash, 1, '-');
  return hex;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string hex;
  hex.reserve(32);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (is_dash != (text[i] == '-')) return std::nullopt;
    if (!is_dash) hex += text[i];
  }
  const auto bytes = from_hex(hex);
  if (!bytes) return std::nullopt;
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    uuid.bytes[i] = static_cast<std::uint8_t>((*bytes)[i]);
  }
  return uuid;
}

Uuid UuidGenerator::next() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now_ms = clock_.wall().time_since_epoch().count();
  if (now_ms > last_ms_) {
    last_ms_ = now_ms;
    // The counter starts low in its 12 bits, so that many ids fit before the time must be advanced.
    counter_ = static_cast<std::uint32_t>(random_.below(1U << 8));
  } else if (++counter_ >= 1U << 12) {
    // More than the counter holds within one millisecond, or a clock that went back: borrow from
    // time.
    ++last_ms_;
    counter_ = 0;
  }
  Uuid uuid;
  for (unsigned i = 0; i < 6; ++i) {
    uuid.bytes[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(last_ms_) >> (40 - 8 * i));
  }
  uuid.bytes[6] = static_cast<std::uint8_t>(0x70 | (counter_ >> 8));
  uuid.bytes[7] = static_cast<std::uint8_t>(counter_);
  random_.fill(std::as_writable_bytes(std::span(uuid.bytes).subspan(8)));
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3F) | 0x80);
  return uuid;
}

}  // namespace sluice
