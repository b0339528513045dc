#include "core/stream/hash.h"

// Compiled in here, so that short inputs take the short way.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::validator {

std::uint64_t hash_bytes(const void* bytes, std::size_t size, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, size, seed);
}

}  // namespace sluice::validator
