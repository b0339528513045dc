#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

/// Asks the processor for memory that will be used soon, without waiting for it. What belongs to
/// thousands of connections has mostly left its caches when it is needed again, and to wait for it
/// line by line costs more than what is then done with it. Any address will do, also null.
inline void prefetch(const void* object, std::size_t size) {
  constexpr std::size_t kCacheLine = 64;
  const auto* const bytes = static_cast<const std::byte*>(object);
  for (std::size_t at = 0; at < size; at += kCacheLine) __builtin_prefetch(bytes + at);
}

/// To follow a pointer is to wait for where it stands. So what hangs together is asked for in
/// steps, with other work between them: each reads only what the one before has asked for.
enum class PrefetchStep : std::uint8_t {
  kObject,    // itself
  kPointees,  // what its members point to
  kBehind,    // what those point to
};

}  // namespace sluice
