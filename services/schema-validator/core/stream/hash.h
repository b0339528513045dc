#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::validator {

/// XXH3 with 64 bits. Its values are part of the states' byte form, and the same on every machine.
std::uint64_t hash_bytes(const void* bytes, std::size_t size, std::uint64_t seed = 0);

inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0) {
  return hash_bytes(text.data(), text.size(), seed);
}

}  // namespace sluice::validator
