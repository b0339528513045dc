#include "handle_table.h"

#include <bit>
#include <cstring>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::mqtt {

namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1, v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1, v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

/// MurmurHash3's finisher: every bit of the input moves about half of the output's.
std::uint64_t stir(std::uint64_t value) {
  value = (value ^ value >> 33) * 0xFF51'AFD7'ED55'8CCDU;
  value = (value ^ value >> 33) * 0xC4CE'B9FE'1A85'EC53U;
  return value ^ value >> 33;
}

constexpr std::size_t kSmallest = 16;  // slots

}  // namespace

std::uint64_t KeyedHash::of(std::string_view text) const {
  SipState state{.v0 = first_ ^ 0x736F'6D65'7073'6575U,
                 .v1 = second_ ^ 0x646F'7261'6E64'6F6DU,
                 .v2 = first_ ^ 0x6C79'6765'6E65'7261U,
                 .v3 = second_ ^ 0x7465'6462'7974'6573U};
  const std::uint64_t length = std::uint64_t{text.size()} << 56;
  while (text.size() >= 8) {
    std::uint64_t word = 0;  // in the machine's byte order: no hash leaves the process
    std::memcpy(&word, text.data(), 8);
    state.take(word);
    text.remove_prefix(8);
  }
  std::uint64_t last = 0;
  if (!text.empty()) std::memcpy(&last, text.data(), text.size());
  state.take(last | length);
  state.v2 ^= 0xFF;
  state.round(), state.round(), state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

std::uint64_t KeyedHash::of(std::uint64_t one, std::uint64_t other) const {
  return stir(stir(one ^ first_) + (other ^ second_));
}

void HandleTable::insert(std::uint64_t hash, std::uint32_t handle) {
  // Between an eighth and three quarters full, so that its size does not swing.
  if ((size_ + 1) * 4 > slots_.size() * 3) resize(slots_.empty() ? kSmallest : slots_.size() * 2);
  put({.tag = static_cast<std::uint32_t>(hash), .handle = handle});
  ++size_;
}

void HandleTable::erase(std::uint64_t hash, std::uint32_t handle) {
  SLUICE_CHECK(size_ > 0);
  std::size_t hole = static_cast<std::uint32_t>(hash) & mask();
  while (slots_[hole].handle != handle) {
    SLUICE_CHECK(slots_[hole].handle != 0);
    hole = (hole + 1) & mask();
  }
  // Those behind move up unless that would put them before the place they are looked for.
  for (std::size_t at = (hole + 1) & mask(); slots_[at].handle != 0; at = (at + 1) & mask()) {
    const std::size_t wanted = slots_[at].tag & mask();
    if (((at - wanted) & mask()) >= ((at - hole) & mask())) {
      slots_[hole] = slots_[at];
      hole = at;
    }
  }
  slots_[hole] = {};
  --size_;
  if (size_ == 0) {
    clear();
  } else if (slots_.size() > kSmallest && size_ * 8 < slots_.size()) {
    resize(slots_.size() / 2);
  }
}

void HandleTable::put(Slot slot) {
  std::size_t at = slot.tag & mask();
  while (slots_[at].handle != 0) at = (at + 1) & mask();
  slots_[at] = slot;
}

void HandleTable::resize(std::size_t count) {
  const auto before = std::exchange(slots_, std::vector<Slot>(count));
  for (const Slot& slot : before) {
    if (slot.handle != 0) put(slot);
  }
}

}  // namespace sluice::mqtt
