#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// Keys of one payload that were met already, as hashes of 64 bits: two keys that only look the
/// same are refused once in 2^64 pairs. Cleared in constant time. Keys that are made to fall onto
/// each other cost their sender's payload, not our time.
class KeySet {
 public:
  enum class Outcome : std::uint8_t { kNew, kKnown, kCrowded };

  void clear() {
    ++stamp_;
    size_ = 0;
  }
  Outcome add(std::uint64_t object, std::string_view key) {
    if (size_ * 2 >= slots_.size()) grow();
    const std::uint64_t hash =
        (std::hash<std::string_view>()(key) ^ (object * 0x9E37'79B9'7F4A'7C15U)) *
        0xD6E8'FEB8'6659'FD93U;
    return insert(hash);
  }

 private:
  static constexpr std::size_t kMaxProbes = 256;  // at half load 64 in a row are next to impossible

  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t stamp = 0;
  };

  Outcome insert(std::uint64_t hash) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = (hash >> 32U) & mask;
    for (std::size_t probes = 0; probes < kMaxProbes; ++probes, at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.stamp != stamp_) {
        slot = {.hash = hash, .stamp = stamp_};
        ++size_;
        return Outcome::kNew;
      }
      if (slot.hash == hash) return Outcome::kKnown;
    }
    return Outcome::kCrowded;
  }
  void grow() {
    std::vector<Slot> before(slots_.empty() ? 64 : slots_.size() * 2);
    before.swap(slots_);
    size_ = 0;
    for (const Slot& slot : before) {
      if (slot.stamp == stamp_) insert(slot.hash);
    }
  }

  std::vector<Slot> slots_;
  std::uint64_t stamp_ = 1;
  std::size_t size_ = 0;
};

}  // namespace sluice::validator
