#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::validator {

/// What a SenML record's metric is called.
enum class SenmlNames : std::uint8_t {
  kFull,   // base name and name, joined as RFC 8428 section 4.3 resolves them
  kLocal,  // the name alone where there is one, for devices that put their own id into the base
           // name
};

/// Takes a SenML pack (RFC 8428) from a JSON or CBOR decoder, resolves its base fields and tells
/// the next sink `[{"ts": milliseconds, "values": {name: {"value": v, "unit": u}}}, …]`: one object
/// per resolved time, in the order in which the times first stand in the pack. A time of 0 is
/// "now": its object has no ts. A sum is a metric of its own, `name.sum`, without a unit.
///
/// Keeps its room from pack to pack. Owned by one thread.
class SenmlSink final : public PayloadSink {
 public:
  /// Begins a pack. `received_at_ms` is what relative times (below 2^28 s) count from.
  void begin(std::int64_t received_at_ms, SenmlNames names, const PayloadLimits& limits);

  /// Ends the pack: resolves it and tells it to `next`. Not called when the decoder failed.
  std::optional<Rejection> finish(PayloadSink& next);

  bool on_null() override;
  bool on_bool(bool value) override;
  bool on_int64(std::int64_t value) override;
  bool on_uint64(std::uint64_t value) override;
  bool on_double(double value) override;
  bool on_string(std::string_view value) override;
  bool on_bytes(std::span<const std::byte> value) override;
  bool begin_object() override;
  bool on_key(std::string_view key) override;
  bool end_object() override;
  bool begin_array() override;
  bool end_array() override;

 private:
  /// A number keeps its kind, so that an integer comes out as one.
  using Number = std::variant<std::int64_t, double>;
  /// A stretch of texts_, which grows while it is filled: no views.
  struct Text {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  struct Data {
    Text text{};
    bool is_raw = false;  // CBOR has the bytes themselves, JSON has base64url
  };
  using Value = std::variant<std::monostate, Number, Text, bool, Data>;

  /// The fields of the record that is being read.
  struct Record {
    std::optional<Text> base_name{};
    std::optional<Text> base_unit{};
    std::optional<Number> base_time{};
    std::optional<Number> base_value{};
    std::optional<Number> base_sum{};
    std::optional<Text> name{};
    std::optional<Text> unit{};
    std::optional<Number> time{};
    std::optional<Number> sum{};
    Value value{};
  };
  /// One resolved record.
  struct Resolved {
    std::optional<std::int64_t> time_ms{};
    std::uint32_t group = 0;  // place of its time among the times of the pack
    Text name{};
    Text unit{};
    Value value{};
    std::optional<Number> sum{};
  };

  enum class Field : std::uint8_t {
    kBaseVersion,
    kBaseName,
    kBaseTime,
    kBaseUnit,
    kBaseValue,
    kBaseSum,
    kName,
    kUnit,
    kValue,
    kStringValue,
    kBoolValue,
    kDataValue,
    kSum,
    kTime,
    kUpdateTime,
    kIgnored,
  };

  static double as_double(const Number& number) {
    const auto* integer = std::get_if<std::int64_t>(&number);
    return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(number);
  }
  /// Integers stay integers while they fit.
  static Number add(const Number& a, const Number& b);

  bool refuse(RejectReason reason, std::string detail);
  bool on_number(Number value);
  bool take_text(std::string_view value);
  bool set_value(Value value);
  bool end_record();
  bool resolve_name(Resolved& resolved);
  bool resolve_time(Resolved& resolved);
  bool resolve_value(Resolved& resolved);
  bool tell(PayloadSink& next);
  bool tell_record(const Resolved& resolved, PayloadSink& next);
  bool tell_value(const Value& value, PayloadSink& next);
  Text keep(std::string_view text);
  std::string_view view(Text text) const {
    return std::string_view(texts_).substr(text.offset, text.size);
  }

  std::int64_t received_at_ms_ = 0;
  SenmlNames names_ = SenmlNames::kFull;
  PayloadLimits limits_{};
  std::optional<Rejection> rejection_{};
  std::string texts_{};
  std::string scratch_{};
  std::vector<Resolved> records_{};
  std::vector<std::pair<std::optional<std::int64_t>, std::uint32_t>> times_{};
  Record record_{};
  Record bases_{};  // only its base fields are used
  std::uint64_t fields_seen_ = 0;
  Field field_{};
  std::size_t record_count_ = 0;
  std::size_t depth_ = 0;
  std::size_t ignored_depth_ = 0;  // inside the value of a field that nobody knows
  bool had_array_ = false;
};

}  // namespace sluice::validator
