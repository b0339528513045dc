#include "core/decode/senml_sink.h"

#include "core/decode/emitter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>

#include <sluice/base/encoding.h>

namespace sluice::validator {

namespace {

constexpr std::int64_t kVersion = 10;  // RFC 8428 section 4.4
/// In the order of SenmlSink::Field.
constexpr std::array<std::string_view, 15> kFieldNames = {
    "bver", "bn", "bt", "bu", "bv", "bs", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"};

}  // namespace

void SenmlSink::begin(std::int64_t received_at_ms, SenmlNames names, const PayloadLimits& limits) {
  received_at_ms_ = received_at_ms;
  names_ = names;
  limits_ = limits;
  rejection_.reset();
  texts_.clear();
  records_.clear();
  record_ = bases_ = Record{};
  fields_seen_ = 0;
  record_count_ = depth_ = ignored_depth_ = 0;
  had_array_ = false;
}

bool SenmlSink::refuse(RejectReason reason, std::string detail) {
  if (!rejection_) {
    rejection_ = Rejection{.reason = reason,
                           .detail = std::move(detail),
                           .pointer = depth_ < 2 ? "" : std::format("/{}", record_count_)};
    if (depth_ == 2 && field_ < Field::kIgnored) {
      rejection_->pointer += std::format("/{}", kFieldNames[static_cast<std::size_t>(field_)]);
    }
  }
  return false;
}

SenmlSink::Text SenmlSink::keep(std::string_view text) {
  const Text kept{.offset = static_cast<std::uint32_t>(texts_.size()),
                  .size = static_cast<std::uint32_t>(text.size())};
  texts_ += text;
  return kept;
}

bool SenmlSink::begin_array() {
  if (ignored_depth_ > 0 || (depth_ == 2 && field_ == Field::kIgnored)) {
    ++ignored_depth_;
    return true;
  }
  if (depth_ != 0) return refuse(RejectReason::kUnknownShape, "a SenML field is no array");
  depth_ = 1;
  had_array_ = true;
  return true;
}

bool SenmlSink::end_array() {
  if (ignored_depth_ > 0) {
    --ignored_depth_;
  } else {
    depth_ = 0;
  }
  return true;
}

bool SenmlSink::begin_object() {
  if (ignored_depth_ > 0 || (depth_ == 2 && field_ == Field::kIgnored)) {
    ++ignored_depth_;
    return true;
  }
  if (depth_ != 1)
    return refuse(RejectReason::kUnknownShape, "a SenML pack is an array of records");
  depth_ = 2;
  record_ = Record{};
  fields_seen_ = 0;
  field_ = Field::kIgnored;
  return true;
}

bool SenmlSink::on_key(std::string_view key) {
  if (ignored_depth_ > 0) return true;
  const auto found = std::ranges::find(kFieldNames, key);
  if (found == kFieldNames.end()) {
    field_ = Field::kIgnored;
    // RFC 8428 section 4.4: such a name must be understood.
    if (key.ends_with('_')) {
      return refuse(RejectReason::kMalformedPayload,
                    std::format("the field {} must be understood, and is not", key));
    }
    return true;
  }
  const auto place = static_cast<std::size_t>(found - kFieldNames.begin());
  field_ = static_cast<Field>(place);
  if ((fields_seen_ >> place & 1U) != 0) {
    return refuse(RejectReason::kMalformedPayload, "a field stands twice in one record");
  }
  fields_seen_ |= std::uint64_t{1} << place;
  return true;
}

bool SenmlSink::on_number(Number value) {
  if (ignored_depth_ > 0) return true;
  if (depth_ != 2)
    return refuse(RejectReason::kUnknownShape, "a SenML pack is an array of records");
  switch (field_) {
    case Field::kBaseVersion:
      if (as_double(value) > kVersion || !(as_double(value) >= 1)) {
        return refuse(RejectReason::kMalformedPayload,
                      std::format("SenML version {} is not read, 10 is", as_double(value)));
      }
      return true;
    case Field::kBaseTime:
      record_.base_time = value;
      return true;
    case Field::kBaseValue:
      record_.base_value = value;
      return true;
    case Field::kBaseSum:
      record_.base_sum = value;
      return true;
    case Field::kTime:
      record_.time = value;
      return true;
    case Field::kSum:
      record_.sum = value;
      return true;
    case Field::kValue:
      return set_value(value);
    case Field::kUpdateTime:
    case Field::kIgnored:
      return true;
    default:
      return refuse(RejectReason::kMalformedPayload, "a number where a text is due");
  }
}

bool SenmlSink::on_int64(std::int64_t value) { return on_number(value); }
bool SenmlSink::on_uint64(std::uint64_t value) { return on_number(static_cast<double>(value)); }

bool SenmlSink::on_double(double value) {
  const bool is_relevant = ignored_depth_ == 0 && field_ != Field::kIgnored;
  if (is_relevant && !std::isfinite(value)) {
    return refuse(RejectReason::kNonFiniteNumber, "a SenML number is finite");
  }
  return on_number(value);
}

bool SenmlSink::on_null() {
  if (ignored_depth_ > 0 || (depth_ == 2 && field_ == Field::kIgnored)) return true;
  return refuse(RejectReason::kMalformedPayload, "a SenML field is not null");
}

bool SenmlSink::on_bool(bool value) {
  if (ignored_depth_ > 0 || (depth_ == 2 && field_ == Field::kIgnored)) return true;
  if (depth_ == 2 && field_ == Field::kBoolValue) return set_value(value);
  return refuse(RejectReason::kMalformedPayload, "only vb is a truth value");
}

bool SenmlSink::take_text(std::string_view value) {
  switch (field_) {
    case Field::kBaseName:
      record_.base_name = keep(value);
      return true;
    case Field::kBaseUnit:
      record_.base_unit = keep(value);
      return true;
    case Field::kName:
      record_.name = keep(value);
      return true;
    case Field::kUnit:
      record_.unit = keep(value);
      return true;
    case Field::kStringValue:
      return set_value(keep(value));
    case Field::kDataValue:
      return set_value(Data{.text = keep(value)});
    case Field::kIgnored:
      return true;
    default:
      return refuse(RejectReason::kMalformedPayload, "a text where a number is due");
  }
}

bool SenmlSink::on_string(std::string_view value) {
  if (ignored_depth_ > 0) return true;
  if (depth_ != 2)
    return refuse(RejectReason::kUnknownShape, "a SenML pack is an array of records");
  return take_text(value);
}

bool SenmlSink::on_bytes(std::span<const std::byte> value) {
  if (ignored_depth_ > 0 || (depth_ == 2 && field_ == Field::kIgnored)) return true;
  if (depth_ != 2 || field_ != Field::kDataValue) {
    return refuse(RejectReason::kMalformedPayload, "only vd is a byte string");
  }
  return set_value(Data{.text = keep({reinterpret_cast<const char*>(value.data()), value.size()}),
                        .is_raw = true});
}

bool SenmlSink::set_value(Value value) {
  if (!std::holds_alternative<std::monostate>(record_.value)) {
    return refuse(RejectReason::kMalformedPayload, "a record has one of v, vs, vb and vd");
  }
  record_.value = value;
  return true;
}

bool SenmlSink::end_object() {
  if (ignored_depth_ > 0) {
    --ignored_depth_;
    return true;
  }
  field_ = Field::kIgnored;
  if (!end_record()) return false;
  depth_ = 1;
  ++record_count_;
  return true;
}

}  // namespace sluice::validator
