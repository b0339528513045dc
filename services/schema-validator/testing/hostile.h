#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/encoding.h>

namespace sluice::validator {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Bytes written down as hexadecimal, blanks between them as one likes.
inline std::string unhex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  return from_hex(digits).value();
}

/// Each real beginning of `good`, in a block of its own size, so that a sanitizer sees a step too
/// far.
inline void for_each_beginning(const std::string& good,
                               const std::function<void(std::span<const std::byte>)>& run) {
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::vector<std::byte> exact(bytes_of(good).begin(),
                                       bytes_of(good).begin() + static_cast<std::ptrdiff_t>(size));
    run(exact);
  }
}

/// `count` copies of `good` with one to three bytes changed, the same ones each time.
inline void for_each_damage(const std::string& good, int count,
                            const std::function<void(std::span<const std::byte>)>& run) {
  std::uint64_t state = good.size();
  const auto below = [&state](std::uint64_t bound) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33U) % bound;
  };
  for (int i = 0; i < count; ++i) {
    std::vector<std::byte> damaged(bytes_of(good).begin(), bytes_of(good).end());
    for (std::uint64_t changes = 1 + below(3); changes > 0; --changes) {
      damaged[below(damaged.size())] = static_cast<std::byte>(below(256));
    }
    run(damaged);
  }
}

}  // namespace sluice::validator
