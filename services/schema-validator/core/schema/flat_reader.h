#pragma once

#include "core/schema/extraction.h"
#include "core/schema/flat_plan.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// Reads what nearly all devices send, straight from its bytes: JSON objects of scalars, in one of
/// the shapes, or an array of those. It only ever says yes. What it cannot vouch for (a fault, a
/// name with an escape, an array, a number of twenty digits) it leaves, as though it had not been
/// asked, to JsonDecoder's general way, which alone rejects; so both agree, and a differential fuzz
/// test holds them against each other.
///
/// It is several times as fast: a member's name is compared with the one that came here last time,
/// no table of the document's structure is made, and no value is handed on by a call.
class FlatReader {
 public:
  /// Which member came last time after each of the plan's places: a hint.
  using Order = std::vector<std::uint32_t>;

  /// `order` has a hint for each of the plan's places; any will do.
  FlatReader(Extractor::Inside& extraction, const FlatPlan& plan, Order& order,
             std::size_t max_depth);

  /// Whether `json` is valid and all of it was taken. Otherwise what was taken is to be forgotten.
  /// Behind it kPayloadPadding bytes are readable.
  bool read(std::string_view json);

 private:
  /// Names of one sample that nobody expected. A hash would cost more than comparing them.
  static constexpr std::size_t kMaxUnknown = 48;
  enum class Place : std::uint8_t { kSample, kLifted, kNested };

  // Each takes where it begins, behind blanks, and gives where it ended; null: not for us. The
  // place goes through registers, not through a member, which would make each step wait for memory.
  using At = const char*;

  At sample(At at);
  At object(At at, std::uint32_t index, Place place);
  At members(At at, std::uint32_t index, Place place);
  const FlatMember* find(At at, const FlatPlan::Object& object);
  const FlatMember* find_anew(At at, const FlatPlan::Object& object);
  At value(At at, const FlatMember& member);
  At number_value(At at, const FlatMember& member);
  At text_value(At at, const FlatMember& member);
  At field_value(At at, const FlatMember& member);
  At reserved(At at, const FlatMember& member, Place place);
  At reserved_number(At at, FlatKind kind, Sample& sample);
  At unknown(At at, std::uint32_t index, Place place);
  At free_value(At at, std::string_view key);
  At text(At at, std::string_view& text) const;
  At blanks(At at) const;
  At colon(At at) const;
  bool is_new(std::string_view key);

  Extractor::Inside& in_;
  const FlatPlan& plan_;
  const FlatMember* const members_;
  const Field* const fields_;
  std::uint32_t* const after_;
  std::uint64_t* const seen_;
  At end_ = nullptr;
  std::size_t left_depth_;
  std::uint32_t last_ = 0;      // one of the plan's places
  std::uint32_t reserved_ = 0;  // those that the sample had, as bits by FlatKind
  std::size_t unknown_count_ = 0;
  // Not zeroed: most samples have none.
  std::array<const char*, kMaxUnknown> unknown_;
  std::array<std::size_t, kMaxUnknown> unknown_sizes_;
  std::array<std::uint64_t, kMaxUnknown> unknown_signs_;
};

}  // namespace sluice::validator
