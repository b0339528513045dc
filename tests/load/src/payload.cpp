#include "payload.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace sluice::load {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::string_view kBegin = R"({"t":"0000000000000000")";
constexpr std::string_view kFillBegin = R"(,"v":")";

}  // namespace

std::string make_payload(std::size_t size) {
  std::string text(kBegin);
  const std::size_t least_filled = kBegin.size() + kFillBegin.size() + 2;
  if (size >= least_filled) {
    text += kFillBegin;
    // Letters in no order, so that a store which compresses does not get it for nothing.
    for (std::uint32_t state = 1; text.size() + 2 < size;) {
      state = state * 1'664'525 + 1'013'904'223;
      text += static_cast<char>('a' + (state >> 24) % 26);
    }
    text += '"';
  }
  text += '}';
  text.append(size > text.size() ? size - text.size() : 0, ' ');
  return text;
}

void write_stamp(MonoTime time, std::span<std::byte> stamp) {
  auto value = static_cast<std::uint64_t>(time.time_since_epoch().count());
  for (std::size_t i = kStampSize; i > 0; --i, value >>= 4) {
    stamp[i - 1] = static_cast<std::byte>(kDigits[value & 15]);
  }
}

std::optional<MonoTime> read_stamp(std::span<const std::byte> payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (!text.starts_with(kBegin.substr(0, kStampAt)) || text.size() < kStampAt + kStampSize) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const char* begin = text.data() + kStampAt;
  const auto [end, error] = std::from_chars(begin, begin + kStampSize, value, 16);
  if (error != std::errc() || end != begin + kStampSize) return std::nullopt;
  return MonoTime(std::chrono::nanoseconds(static_cast<std::int64_t>(value)));
}

}  // namespace sluice::load
