#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::validator {

/// A block of 32 bytes of each generation.
struct alignas(64) SeenFilterLine {
  static constexpr std::size_t kWords = 8;
  std::array<std::array<std::uint32_t, kWords>, 2> generations{};
};

/// Remembers the fingerprints of a day in a split-block Bloom filter of two generations. It never
/// forgets what it holds, so a "no" proves that a message is new; a "yes" proves nothing.
///
/// 12 bits per key give 0.5 % false positives. Both generations of a block share one cache line, so
/// a question costs one miss. At the end of each period, or when a generation is full, the older
/// one is cleared: what is asked for is remembered for one period at least, or for the last
/// `capacity` keys. Owned by one thread; several DeviceStates of that thread may share it.
class SeenFilter {
 public:
  static constexpr std::int64_t kPeriodMs = 24LL * 3600 * 1000;
  static constexpr std::size_t kBitsPerKey = 12;
  static constexpr std::size_t kMinCapacity = 1024;
  static constexpr std::size_t kMaxCapacity = 1ULL << 30;  // 3 GiB, more than a worker should hold

  /// Room for `capacity` messages with a sequence per period; memory_bytes(capacity) are taken at
  /// once.
  explicit SeenFilter(std::size_t capacity, std::int64_t period_ms = kPeriodMs);

  static std::size_t memory_bytes(std::size_t capacity);

  /// Time goes on; earlier times are ignored. Rotates at the end of a period, or when full.
  void advance(std::int64_t now_ms);

  bool maybe_contains(std::uint64_t fingerprint) const;
  /// The same of many, 1 or 0 for each: their lines come while others are looked at, so that a
  /// question to a filter beyond every cache costs a few nanoseconds.
  void maybe_contain(std::span<const std::uint64_t> fingerprints,
                     std::span<std::uint8_t> answers) const;
  /// Its line is written a few insertions later, when it has come from memory; until then questions
  /// find it where it waits.
  void insert(std::uint64_t fingerprint);
  /// Brings the line of a fingerprint closer.
  void prefetch(std::uint64_t fingerprint) const;

  /// What came to us since then is remembered; 0 before the first advance().
  std::int64_t knows_since_ms() const { return knows_since_ms_; }
  std::size_t inserted() const { return inserted_; }  // into the younger generation
  std::size_t capacity() const { return capacity_; }
  std::uint64_t rotations() const { return rotations_; }
  std::uint64_t early_rotations() const {
    return early_rotations_;
  }  // full before the period's end

  /// Sets every bit, so that every question is answered "maybe": for tests of those who rely on it.
  void saturate();

 private:
  using Line = SeenFilterLine;

  static constexpr std::size_t kWaiting = 8;  // some hundred nanoseconds at a message each

  void rotate(std::int64_t now_ms);
  void write(std::uint64_t fingerprint);
  bool is_waiting(std::uint64_t fingerprint) const;
  std::size_t line_of(std::uint64_t fingerprint) const;

  std::vector<Line> lines_;
  std::array<std::uint64_t, kWaiting> waiting_{};  // a ring
  std::size_t waiting_count_ = 0;
  std::size_t next_waiting_ = 0;
  std::size_t capacity_;
  std::int64_t period_ms_;
  std::int64_t now_ms_ = 0;
  std::int64_t started_ms_ = 0;  // the younger generation
  std::int64_t knows_since_ms_ = 0;
  std::size_t inserted_ = 0;
  std::uint64_t rotations_ = 0;
  std::uint64_t early_rotations_ = 0;
  unsigned young_ = 0;
  bool has_begun_ = false;
};

}  // namespace sluice::validator
