#pragma once

#include "core/payload/sample.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::validator {

struct Field;
struct Program;

/// A member's name, to be compared with bytes of a payload together with the quote behind it: one
/// comparison for names of up to 15 bytes, which nearly all have.
class FlatKey {
 public:
  explicit FlatKey(std::string_view name);

  /// Whether the name and the quote stand at `at`. Sixteen bytes must be readable there, though
  /// they may lie past `end`.
  bool stands_at(const char* at, const char* end) const {
#if defined(__SSE2__)
    const auto same = _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)),
                                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes_)));
    if ((static_cast<unsigned>(_mm_movemask_epi8(same)) & mask_) != mask_) return false;
#else
    if (std::memcmp(at, bytes_, std::min(name_.size() + 1, kShort)) != 0) return false;
#endif
    return name_.size() < kShort || is_rest_at(at, end);
  }
  std::string_view name() const { return name_; }
  std::size_t size() const { return name_.size(); }

 private:
  static constexpr std::size_t kShort = 16;

  bool is_rest_at(const char* at, const char* end) const {
    return name_.size() < static_cast<std::size_t>(end - at) &&
           std::memcmp(at + kShort, name_.data() + kShort, name_.size() - kShort) == 0 &&
           at[name_.size()] == '"';
  }

  char bytes_[kShort] = {};  // the name and the quote, as far as they go
  unsigned mask_ = 0;        // which of these count
  std::string_view name_{};  // the program's
};

/// What to do with a member's value.
enum class FlatKind : std::uint8_t {
  kReal,      // a metric of doubles with no rule but bounds
  kInteger,   // a metric of integers with no rule but bounds
  kTruth,     // a metric of truth values
  kText,      // a metric of texts with no rule but what is allowed
  kField,     // any other field that may be a scalar: by the general rules
  kObject,    // a field whose members are named again
  kTime,      // "ts", where the schema does not describe it
  kSequence,  // "seq"
  kBuffered,  // "buffered"
  kLifted,    // "metrics" and "values"
};

struct FlatMember {
  FlatKey key;
  FlatKind kind = FlatKind::kField;
  std::uint32_t field = 0;   // into Program::fields, where it is one
  std::uint32_t object = 0;  // of kObject
  Reading reading{};         // all of it but the value
};

/// A program that is one-pass, laid out for FlatReader.
struct FlatPlan {
  struct Object {
    std::uint32_t first = 0;  // into members
    std::uint32_t count = 0;
  };

  /// Null: no schema.
  explicit FlatPlan(const Program* program);

  std::vector<FlatMember> members{};
  std::vector<Object> objects{};  // as Program::objects; one where there is no schema

  /// Places that a member may come after: another one, or the beginning of an object, or of what
  /// `metrics` holds.
  std::uint32_t beginning_of(std::uint32_t object) const {
    return static_cast<std::uint32_t>(members.size()) + object;
  }
  std::uint32_t beginning_of_lifted() const {
    return beginning_of(static_cast<std::uint32_t>(objects.size()));
  }
  std::size_t places() const { return members.size() + objects.size() + 1; }
};

}  // namespace sluice::validator
