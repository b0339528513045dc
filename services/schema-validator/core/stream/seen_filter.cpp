#include "core/stream/seen_filter.h"

#include <algorithm>

#include <sluice/base/check.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::validator {
namespace {

/// Odd numbers that spread the low half of a fingerprint over the eight words of a block.
constexpr std::array<std::uint32_t, 8> kSalts = {0x8F2C'4B6DU, 0x3D91'E2A7U, 0xC5A3'7F19U,
                                                 0x6B48'D0F3U, 0xE917'253BU, 0x54FE'98C1U,
                                                 0xA16D'3E85U, 0x1BC9'74DFU};

std::uint32_t bit_of(std::uint32_t low, std::size_t word) {
  return 1U << ((low * kSalts[word]) >> 27U);
}

using Line = SeenFilterLine;
using Generations = decltype(Line::generations);

/// Whether one of the generations has all eight bits.
bool are_all_set_plainly(const Generations& generations, std::uint32_t low) {
  std::uint32_t missing_first = 0;
  std::uint32_t missing_second = 0;
  for (std::size_t i = 0; i < kSalts.size(); ++i) {
    missing_first |= bit_of(low, i) & ~generations[0][i];
    missing_second |= bit_of(low, i) & ~generations[1][i];
  }
  return missing_first == 0 || missing_second == 0;
}

void set_plainly(std::array<std::uint32_t, 8>& block, std::uint32_t low) {
  for (std::size_t i = 0; i < kSalts.size(); ++i) block[i] |= bit_of(low, i);
}

#if defined(__x86_64__)
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;

/// Eight words at once. Shifts by different amounts are what SSE2, the baseline of our builds, does
/// not have.
__attribute__((target("avx2"), always_inline)) inline __m256i bits_at_once(std::uint32_t low) {
  const auto* const salts = reinterpret_cast<const __m256i*>(kSalts.data());
  const __m256i product =
      _mm256_mullo_epi32(_mm256_set1_epi32(static_cast<int>(low)), _mm256_loadu_si256(salts));
  return _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_srli_epi32(product, 27));
}

__attribute__((target("avx2"))) bool are_all_set_at_once(const Generations& generations,
                                                         std::uint32_t low) {
  const auto* const first = reinterpret_cast<const __m256i*>(generations[0].data());
  const auto* const second = reinterpret_cast<const __m256i*>(generations[1].data());
  const __m256i bits = bits_at_once(low);
  return (_mm256_testc_si256(_mm256_loadu_si256(first), bits) |
          _mm256_testc_si256(_mm256_loadu_si256(second), bits)) != 0;
}

__attribute__((target("avx2"))) void set_at_once(std::array<std::uint32_t, 8>& block,
                                                 std::uint32_t low) {
  auto* const words = reinterpret_cast<__m256i*>(block.data());
  _mm256_storeu_si256(words, _mm256_or_si256(_mm256_loadu_si256(words), bits_at_once(low)));
}

bool are_all_set(const Generations& generations, std::uint32_t low) {
  return kHasAvx2 ? are_all_set_at_once(generations, low) : are_all_set_plainly(generations, low);
}
void set_all(std::array<std::uint32_t, 8>& block, std::uint32_t low) {
  kHasAvx2 ? set_at_once(block, low) : set_plainly(block, low);
}
#else
bool are_all_set(const Generations& generations, std::uint32_t low) {
  return are_all_set_plainly(generations, low);
}
void set_all(std::array<std::uint32_t, 8>& block, std::uint32_t low) { set_plainly(block, low); }
#endif

/// The high half times the number of lines, over 2^32: even, and without a division.
std::size_t place_of(std::uint64_t fingerprint, std::size_t lines) {
  return static_cast<std::size_t>(((fingerprint >> 32U) * lines) >> 32U);
}

/// Questions ahead of the one that is answered: as many lines as a core has on their way at once.
constexpr std::size_t kAhead = 16;

void ask_all_plainly(std::span<const Line> lines, std::span<const std::uint64_t> fingerprints,
                     std::span<std::uint8_t> answers) {
  const std::size_t count = fingerprints.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t next = fingerprints[std::min(i + kAhead, count - 1)];
    __builtin_prefetch(&lines[place_of(next, lines.size())]);
    const Line& line = lines[place_of(fingerprints[i], lines.size())];
    answers[i] =
        are_all_set_plainly(line.generations, static_cast<std::uint32_t>(fingerprints[i])) ? 1 : 0;
  }
}

#if defined(__x86_64__)
/// The same, and all of it in one function, for one of another target is not inlined elsewhere.
__attribute__((target("avx2"))) void ask_all_at_once(std::span<const Line> lines,
                                                     std::span<const std::uint64_t> fingerprints,
                                                     std::span<std::uint8_t> answers) {
  const std::size_t count = fingerprints.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t next = fingerprints[std::min(i + kAhead, count - 1)];
    __builtin_prefetch(&lines[place_of(next, lines.size())]);
    const Line& line = lines[place_of(fingerprints[i], lines.size())];
    answers[i] =
        are_all_set_at_once(line.generations, static_cast<std::uint32_t>(fingerprints[i])) ? 1 : 0;
  }
}
#endif

}  // namespace

SeenFilter::SeenFilter(std::size_t capacity, std::int64_t period_ms)
    : lines_(memory_bytes(capacity) / sizeof(Line)),
      capacity_(std::clamp(capacity, kMinCapacity, kMaxCapacity)),
      period_ms_(period_ms) {
  SLUICE_CHECK(period_ms > 0);
}

std::size_t SeenFilter::memory_bytes(std::size_t capacity) {
  capacity = std::clamp(capacity, kMinCapacity, kMaxCapacity);
  const std::size_t bits_of_block = Line::kWords * 32;
  return (capacity * kBitsPerKey + bits_of_block - 1) / bits_of_block * sizeof(Line);
}

void SeenFilter::advance(std::int64_t now_ms) {
  if (!has_begun_) {
    has_begun_ = true;
    now_ms_ = started_ms_ = knows_since_ms_ = now_ms;
    return;
  }
  now_ms_ = std::max(now_ms_, now_ms);
  if (now_ms_ - started_ms_ >= period_ms_) {
    rotate(now_ms_);
  } else if (inserted_ >= capacity_) {
    ++early_rotations_;
    rotate(now_ms_);
  }
}

void SeenFilter::rotate(std::int64_t now_ms) {
  // What waits belongs to the generation that ends here.
  for (std::size_t i = 0; i < waiting_count_; ++i) write(waiting_[i]);
  waiting_count_ = next_waiting_ = 0;
  knows_since_ms_ = started_ms_;
  started_ms_ = now_ms;
  inserted_ = 0;
  ++rotations_;
  young_ ^= 1U;
  for (Line& line : lines_) line.generations[young_].fill(0);
}

std::size_t SeenFilter::line_of(std::uint64_t fingerprint) const {
  return place_of(fingerprint, lines_.size());
}

bool SeenFilter::maybe_contains(std::uint64_t fingerprint) const {
  const Line& line = lines_[line_of(fingerprint)];
  return are_all_set(line.generations, static_cast<std::uint32_t>(fingerprint)) ||
         is_waiting(fingerprint);
}

bool SeenFilter::is_waiting(std::uint64_t fingerprint) const {
  return std::find(waiting_.begin(), waiting_.begin() + waiting_count_, fingerprint) !=
         waiting_.begin() + waiting_count_;
}

void SeenFilter::maybe_contain(std::span<const std::uint64_t> fingerprints,
                               std::span<std::uint8_t> answers) const {
  SLUICE_CHECK(answers.size() >= fingerprints.size());
  const std::span<const Line> lines(lines_);
#if defined(__x86_64__)
  kHasAvx2 ? ask_all_at_once(lines, fingerprints, answers)
           : ask_all_plainly(lines, fingerprints, answers);
#else
  ask_all_plainly(lines, fingerprints, answers);
#endif
  for (std::size_t i = 0; waiting_count_ > 0 && i < fingerprints.size(); ++i) {
    if (answers[i] == 0 && is_waiting(fingerprints[i])) answers[i] = 1;
  }
}

void SeenFilter::insert(std::uint64_t fingerprint) {
  prefetch(fingerprint);
  if (waiting_count_ == kWaiting) {
    write(waiting_[next_waiting_]);
  } else {
    ++waiting_count_;
  }
  waiting_[next_waiting_] = fingerprint;
  next_waiting_ = (next_waiting_ + 1) % kWaiting;
  ++inserted_;
}

void SeenFilter::write(std::uint64_t fingerprint) {
  set_all(lines_[line_of(fingerprint)].generations[young_],
          static_cast<std::uint32_t>(fingerprint));
}

void SeenFilter::prefetch(std::uint64_t fingerprint) const {
  __builtin_prefetch(&lines_[line_of(fingerprint)]);
}

void SeenFilter::saturate() {
  for (Line& line : lines_) {
    for (auto& generation : line.generations) generation.fill(UINT32_MAX);
  }
}

}  // namespace sluice::validator
