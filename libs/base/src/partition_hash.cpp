#include <sluice/base/partition_hash.h>

#include <cstddef>

namespace sluice {
namespace {

/// MurmurHash2 with the seed of Kafka's Java client, bytes read little-endian.
std::uint32_t murmur2(std::string_view bytes) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kShift = 24;
  const auto byte_at = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]));
  };

  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes.size());
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t k =
        byte_at(i) | (byte_at(i + 1) << 8) | (byte_at(i + 2) << 16) | (byte_at(i + 3) << 24);
    k *= kMultiplier;
    k ^= k >> kShift;
    k *= kMultiplier;
    hash *= kMultiplier;
    hash ^= k;
  }
  switch (bytes.size() - i) {
    case 3:
      hash ^= byte_at(i + 2) << 16;
      [[fallthrough]];
    case 2:
      hash ^= byte_at(i + 1) << 8;
      [[fallthrough]];
    case 1:
      hash ^= byte_at(i);
      hash *= kMultiplier;
      break;
    default:
      break;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

}  // namespace

std::uint32_t partition_hash(std::string_view key) { return murmur2(key) & 0x7fffffffU; }

}  // namespace sluice
