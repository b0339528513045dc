#include "core/stream/sequence_window.h"

#include "core/stream/little_endian.h"

#include <algorithm>
#include <bit>

#include <sluice/base/check.h>

namespace sluice::validator {
namespace {

/// What a slot keeps of a fingerprint. Zero is "not seen".
std::uint32_t tag_of(std::uint64_t fingerprint) {
  const auto tag = static_cast<std::uint32_t>(fingerprint ^ (fingerprint >> 32U));
  return tag == 0 ? 1 : tag;
}

bool is_good_size(std::size_t size) {
  return std::has_single_bit(size) && size >= SequenceWindow::kMinSize &&
         size <= SequenceWindow::kMaxSize;
}

}  // namespace

SequenceWindow::SequenceWindow(std::size_t size) : slots_(size, 0) {
  SLUICE_CHECK(is_good_size(size));
}

void SequenceWindow::begin_epoch(std::uint64_t sequence, std::optional<std::int64_t> device_time_ms,
                                 std::uint32_t tag) {
  if (has_any_) {
    std::ranges::fill(slots_, 0U);
    ++epochs_;
  }
  has_any_ = true;
  highest_ = floor_ = sequence;
  highest_time_ms_ = device_time_ms;
  slot(sequence) = tag;
}

void SequenceWindow::advance_to(std::uint64_t sequence) {
  const std::uint64_t steps = sequence - highest_;
  if (steps >= slots_.size()) {
    std::ranges::fill(slots_, 0U);
  } else {
    for (std::uint64_t i = 1; i <= steps; ++i) slot(highest_ + i) = 0;
  }
  highest_ = sequence;
}

WindowVerdict SequenceWindow::take(std::uint64_t sequence,
                                   std::optional<std::int64_t> device_time_ms,
                                   std::uint64_t fingerprint) {
  const std::uint32_t tag = tag_of(fingerprint);
  if (!has_any_) {
    begin_epoch(sequence, device_time_ms, tag);
    return WindowVerdict::kUnknown;
  }
  if (sequence <= highest_) return take_below(sequence, device_time_ms, tag);
  const bool is_earlier = device_time_ms && highest_time_ms_ && *device_time_ms < *highest_time_ms_;
  // Far ahead and yet from an earlier time: of an epoch before this one. Following it would throw
  // this one's numbers away.
  if (is_earlier && sequence - highest_ >= slots_.size()) return WindowVerdict::kUnknown;
  advance_to(sequence);
  slot(sequence) = tag;
  if (device_time_ms) highest_time_ms_ = device_time_ms;
  return is_earlier ? WindowVerdict::kUnknown : WindowVerdict::kFresh;
}

WindowVerdict SequenceWindow::take_below(std::uint64_t sequence,
                                         std::optional<std::int64_t> device_time_ms,
                                         std::uint32_t tag) {
  const bool is_inside = highest_ - sequence < slots_.size();
  // Before anything else: a replay may carry a later time than the highest number did, where the
  // device's clock was set back in between.
  if (is_inside && slot(sequence) == tag) return WindowVerdict::kSeen;
  if (is_inside && slot(sequence) == 0 && device_time_ms && highest_time_ms_ &&
      *device_time_ms <= *highest_time_ms_) {
    slot(sequence) = tag;
    return sequence >= floor_ ? WindowVerdict::kFresh : WindowVerdict::kUnknown;
  }
  const bool is_later = device_time_ms && highest_time_ms_ && *device_time_ms > *highest_time_ms_;
  if (is_later) {
    begin_epoch(sequence, device_time_ms, tag);
    return WindowVerdict::kFresh;
  }
  if (device_time_ms && highest_time_ms_) return WindowVerdict::kUnknown;
  // Without times only the number itself can tell. An empty slot is a message that was overtaken;
  // a number that is out of reach or said something else is a restart, as far as one can see.
  if (is_inside && slot(sequence) == 0) {
    slot(sequence) = tag;
    return sequence >= floor_ ? WindowVerdict::kFresh : WindowVerdict::kUnknown;
  }
  begin_epoch(sequence, device_time_ms, tag);
  return WindowVerdict::kUnknown;
}

void SequenceWindow::serialise(std::string& out) const {
  put_little_endian(static_cast<std::uint16_t>(slots_.size()), out);
  put_little_endian(static_cast<std::uint8_t>((has_any_ ? 1U : 0U) | (highest_time_ms_ ? 2U : 0U)),
                    out);
  put_little_endian(highest_, out);
  put_little_endian(floor_, out);
  put_little_endian(static_cast<std::uint64_t>(highest_time_ms_.value_or(0)), out);
  put_little_endian(epochs_, out);
  // Which slots are used, then those: a young window is small.
  for (std::size_t begin = 0; begin < slots_.size(); begin += 64) {
    std::uint64_t used = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      if (slots_[begin + i] != 0) used |= std::uint64_t{1} << i;
    }
    put_little_endian(used, out);
    for (std::size_t i = 0; i < 64; ++i) {
      if (slots_[begin + i] != 0) put_little_endian(slots_[begin + i], out);
    }
  }
}

bool SequenceWindow::restore(std::string_view& in) {
  std::uint16_t size = 0;
  std::uint8_t flags = 0;
  std::uint64_t time = 0;
  SequenceWindow read(slots_.size());
  if (!take_little_endian(in, size) || !is_good_size(size) || !take_little_endian(in, flags) ||
      flags > 3 || !take_little_endian(in, read.highest_) || !take_little_endian(in, read.floor_) ||
      !take_little_endian(in, time) || !take_little_endian(in, read.epochs_)) {
    return false;
  }
  read.has_any_ = (flags & 1U) != 0;
  if ((flags & 2U) != 0) read.highest_time_ms_ = static_cast<std::int64_t>(time);
  std::vector<std::uint32_t> slots(size, 0);
  for (std::size_t begin = 0; begin < size; begin += 64) {
    std::uint64_t used = 0;
    if (!take_little_endian(in, used)) return false;
    for (std::size_t i = 0; i < 64; ++i) {
      if ((used >> i & 1U) != 0 && !take_little_endian(in, slots[begin + i])) return false;
    }
  }
  if (read.floor_ > read.highest_ || (!read.has_any_ && flags != 0)) return false;
  const std::uint64_t count = std::min<std::uint64_t>(size, read.slots_.size());
  for (std::uint64_t back = 0; read.has_any_ && back < count && back <= read.highest_; ++back) {
    const std::uint64_t sequence = read.highest_ - back;
    read.slot(sequence) = slots[sequence & (size - 1U)];
  }
  *this = std::move(read);
  return true;
}

}  // namespace sluice::validator
