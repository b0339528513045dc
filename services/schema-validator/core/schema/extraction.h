#pragma once

#include "core/payload/rejection.h"
#include "core/payload/sample.h"
#include "core/schema/extractor.h"
#include "core/schema/flat_plan.h"
#include "core/schema/key_set.h"
#include "core/schema/program.h"
#include "core/schema/tape.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// The inside of Extractor: a machine over the nesting of the payload.
struct Extractor::Inside {
  explicit Inside(const ExtractPolicy& given) : policy(given) {}

  /// What an open object or array is.
  enum class Kind : std::uint8_t {
    kSamples,   // the payload's array
    kSample,    // one moment
    kLifted,    // its `metrics` or `values`: read as though they stood in the sample
    kObject,    // named by the schema
    kQuantity,  // {"value": 70, "unit": "[degF]"} in place of a number
    kFree,      // not named, and kept: an object or array of readings by dotted names
    kIgnored,   // not named, and left out
  };
  /// What the next value is for.
  enum class Next : std::uint8_t {
    kPayload,
    kElement,  // of the payload's array
    kField,
    kFree,
    kIgnored,
    kTime,
    kSequence,
    kBuffered,
    kLifted,  // members to be lifted where it is an object
    kQuantityValue,
    kQuantityUnit,
  };
  struct Frame {
    Kind kind = Kind::kSamples;
    bool is_array = false;
    bool is_recorded = false;     // lies on the tape
    std::uint32_t object = 0;     // into Program::objects: kSample, kLifted, kObject
    std::uint32_t field = kNone;  // whose member is at work; kNone: the key lies in keys
    std::uint32_t key_begin = 0;  // into keys
    std::uint32_t index = 0;      // of an array's element, counted from 1
    std::uint32_t name_size = 0;  // of `name`, up to and without this frame's member
    std::uint64_t id = 0;         // tells objects of a payload apart
  };
  static constexpr std::uint32_t kNone = 0xFFFF'FFFF;

  // --- What the sink calls do
  void begin(const CompiledSchema* schema, Extracted& extracted, std::span<const std::byte> bytes);
  bool on_scalar_null();
  bool on_truth(bool value);
  bool on_integer(std::int64_t value);
  bool on_natural(std::uint64_t value);
  bool on_real(double value);
  bool on_text(std::string_view value, ValueType type);
  bool open(bool is_array);
  bool key(std::string_view key);
  bool close();
  bool take_flat(std::string_view json, const PayloadLimits& limits);

  // --- Fields of the schema
  /// With `is_converted` the value is in the metric's own unit already.
  bool field_integer(const Field& field, std::int64_t value, bool is_converted = false);
  bool field_real(const Field& field, double value, bool is_converted = false);
  bool field_other(const Field& field, ValueType type, std::int64_t integer, std::string_view text);
  bool convert(const Conversion& conversion, const Field& field, double value);
  bool take_quantity();
  bool misplaced();
  bool as_reserved(const Field& field, int bits);
  bool allows(const Field& field, ValueType type, double number, std::int64_t integer,
              std::string_view text) const;
  bool allows_number(const Field& field, double value) const;
  bool wrong_type(const Field& field, std::string_view got);
  bool outside(const Field& field);

  // --- Members
  bool root_key(Frame& frame, std::string_view key);
  bool unknown_key(Frame& frame, std::string_view key);
  void note_key(Frame& frame, std::string_view key);
  bool found(Frame& frame, std::uint32_t field);
  std::uint32_t find(const Frame& frame, std::string_view key);
  bool once(const Frame& frame, std::string_view key);
  bool free_name();

  // --- Samples
  void begin_sample();
  bool end_sample();
  bool end_object(const ObjectRule& rule);
  bool add_preset(const Field& field);
  bool take_time(std::optional<std::int64_t> milliseconds);
  bool check_reserved(std::string_view wanted);

  // --- Readings
  bool emit(const Reading& reading);
  bool emit_free(Reading reading);
  /// nullopt: rejected.
  std::optional<std::string_view> keep(std::string_view text);

  // --- Faults
  bool reject(RejectReason reason, std::string detail, std::string_view member = {});
  std::string pointer(std::string_view member) const;
  bool is_recording() const { return has_rules && !frames.empty() && frames.back().is_recorded; }

  const ExtractPolicy policy;
  const Program* program = nullptr;
  const FlatPlan* flat = nullptr;
  Extracted* into = nullptr;
  std::string_view payload{};
  bool has_rules = false;
  bool is_done = false;  // one whole value was told
  std::optional<Rejection> rejection{};

  Next next = Next::kPayload;
  std::uint32_t next_field = kNone;
  std::vector<Frame> frames{};
  std::string keys{};  // of the open frames, where the schema does not name them
  std::string name{};  // dotted
  KeySet known{};
  std::uint64_t objects = 0;

  // Which fields the sample has: those with the sample's own stamp.
  std::vector<std::uint64_t> seen{};
  std::uint64_t stamp = 0;

  // After which field which one came last time, for some schemas: a hint that costs one comparison.
  struct Order {
    const Program* program = nullptr;
    std::vector<std::uint32_t> after{};  // by field + 1; 0: at the beginning
    std::vector<std::uint32_t> flat{};   // by FlatPlan's places
  };
  std::array<Order, 64> orders{};
  Order* order = nullptr;
  std::uint32_t last_field = kNone;

  // The quantity at work.
  std::uint32_t quantity_field = kNone;
  bool has_value = false;
  bool is_real = false;
  double quantity_real = 0;
  std::int64_t quantity_integer = 0;
  std::string quantity_unit{};
  bool has_unit = false;

  Tape tape{};
};

}  // namespace sluice::validator
