#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <sluice/base/random.h>

namespace sluice::mqtt {

/// Hashes that nobody can foresee who does not know the key: texts come from clients, and a table
/// whose entries all collide is a list.
class KeyedHash {
 public:
  explicit KeyedHash(Random& random) : first_(random.next()), second_(random.next()) {}

  std::uint64_t of(std::string_view text) const;  // SipHash-1-3
  std::uint64_t of(std::uint64_t one, std::uint64_t other) const;

 private:
  std::uint64_t first_;
  std::uint64_t second_;
};

/// Finds handles by the hash of what they stand for: open addressing, eight bytes a slot. What is
/// compared stays where the handles point to. Removal leaves no tombstones, and the table shrinks.
class HandleTable {
 public:
  /// The handle with this hash for which `equals(handle)`; 0: none.
  template <typename Equals>
  std::uint32_t find(std::uint64_t hash, Equals equals) const {
    if (slots_.empty()) return 0;
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::size_t at = tag & mask(); slots_[at].handle != 0; at = (at + 1) & mask()) {
      if (slots_[at].tag == tag && equals(slots_[at].handle)) return slots_[at].handle;
    }
    return 0;
  }
  /// It must not be there yet.
  void insert(std::uint64_t hash, std::uint32_t handle);
  /// It must be there.
  void erase(std::uint64_t hash, std::uint32_t handle);

  void clear() {
    std::vector<Slot>().swap(slots_);  // assigning {} would keep the capacity
    size_ = 0;
  }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the hash's lower half: where it wants to be, so that growing the
                            // table need not look at what the handles stand for
    std::uint32_t handle = 0;
  };

  std::size_t mask() const { return slots_.size() - 1; }
  void put(Slot slot);
  void resize(std::size_t count);

  std::vector<Slot> slots_{};  // a power of two
  std::size_t size_ = 0;
};

}  // namespace sluice::mqtt
