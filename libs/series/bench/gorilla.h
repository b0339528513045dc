#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::series::bench {

/// What the codec is measured against: Gorilla as in the paper (Pelkonen et al., 2015, 4.1), times
/// and values interleaved in one stream of bits. Milliseconds where the paper has seconds, in the
/// paper's ranges for the difference of differences; a header of 64 bits and a first difference of
/// 14, as there, or of 32 where the period does not fit into them.
class Gorilla {
 public:
  void clear() {
    out_.clear();
    pending_ = 0;
    used_ = 0;
    count_ = 0;
    leading_ = 64;
    trailing_ = 0;
  }

  void add(std::int64_t timestamp, double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    if (count_ == 0) {
      put(static_cast<std::uint64_t>(timestamp), 64);
      put(bits, 64);
    } else {
      put_time(timestamp - last_timestamp_);
      put_value(bits);
    }
    last_timestamp_ = timestamp;
    last_bits_ = bits;
    ++count_;
  }

  std::size_t finish() {
    const std::size_t size = out_.size() * 8 + (used_ + 7) / 8;
    out_.push_back(pending_);
    return size;
  }

  const std::vector<std::uint64_t>& words() const { return out_; }

 private:
  void put(std::uint64_t bits, unsigned count) {
    const unsigned room = 64 - used_;
    if (count < room) {
      pending_ |= bits << (room - count);
      used_ += count;
      return;
    }
    out_.push_back(pending_ | bits >> (count - room));
    used_ = count - room;
    pending_ = used_ == 0 ? 0 : bits << (64 - used_);
  }

  void put_time(std::int64_t delta) {
    if (count_ == 1) {
      put(static_cast<std::uint64_t>(delta) & 0x3fff, 14);
    } else {
      const std::int64_t change = delta - last_delta_;
      const auto bits = static_cast<std::uint64_t>(change);
      if (change == 0) {
        put(0, 1);
      } else if (change >= -63 && change <= 64) {
        put(0b10ULL << 7 | (bits & 0x7f), 9);
      } else if (change >= -255 && change <= 256) {
        put(0b110ULL << 9 | (bits & 0x1ff), 12);
      } else if (change >= -2047 && change <= 2048) {
        put(0b1110ULL << 12 | (bits & 0xfff), 16);
      } else {
        put(0b1111ULL << 32 | (bits & 0xffffffff), 36);
      }
    }
    last_delta_ = delta;
  }

  void put_value(std::uint64_t value) {
    const std::uint64_t difference = value ^ last_bits_;
    if (difference == 0) return put(0, 1);
    const unsigned leading = std::min(31U, static_cast<unsigned>(std::countl_zero(difference)));
    const auto trailing = static_cast<unsigned>(std::countr_zero(difference));
    if (leading_ < 64 && leading >= leading_ && trailing >= trailing_) {
      put(0b10, 2);
    } else {
      leading_ = leading;
      trailing_ = trailing;
      put(0b11ULL << 11 | std::uint64_t{leading} << 6 | ((64 - leading - trailing) & 63), 13);
    }
    put(difference >> trailing_, 64 - leading_ - trailing_);
  }

  std::vector<std::uint64_t> out_;
  std::uint64_t pending_ = 0;
  unsigned used_ = 0;
  std::size_t count_ = 0;
  unsigned leading_ = 64;
  unsigned trailing_ = 0;
  std::int64_t last_timestamp_ = 0;
  std::int64_t last_delta_ = 0;
  std::uint64_t last_bits_ = 0;
};

}  // namespace sluice::series::bench
