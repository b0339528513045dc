#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::validator {

/// The pieces of the states' byte form: fixed width, least byte first, on every machine.
template <std::unsigned_integral T>
void put_little_endian(T value, std::string& out) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i))));
  }
}

/// Takes a value off the front of `in`; false where it is too short.
template <std::unsigned_integral T>
[[nodiscard]] bool take_little_endian(std::string_view& in, T& value) {
  if (in.size() < sizeof(T)) return false;
  std::uint64_t result = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    result |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(in[i])) << (8 * i);
  }
  value = static_cast<T>(result);
  in.remove_prefix(sizeof(T));
  return true;
}

}  // namespace sluice::validator
