#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>

namespace sluice {

/// 128 bits with the text form of RFC 9562.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
  std::string to_string() const;
  static std::optional<Uuid> parse(std::string_view text);
};

/// Makes UUIDv7: 48 bits of milliseconds, then randomness, with a counter in rand_a so that the ids
/// of one generator strictly increase. Thread-safe.
class UuidGenerator {
 public:
  UuidGenerator(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  Uuid next();

 private:
  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;  // guards what follows
  std::int64_t last_ms_ = -1;
  std::uint32_t counter_ = 0;
};

}  // namespace sluice
