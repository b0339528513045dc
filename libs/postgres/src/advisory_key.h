#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::postgres {

/// The 64 bits that PostgreSQL knows an advisory lock by: FNV-1a over both texts, so that the same
/// name used for different purposes gives different locks. The same in every version of every
/// program.
constexpr std::int64_t advisory_key(std::string_view purpose, std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  const auto mix = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U; };
  for (const char c : purpose) mix(c);
  mix('\0');
  for (const char c : name) mix(c);
  return static_cast<std::int64_t>(hash);
}

}  // namespace sluice::postgres
