// What a record of a SenML pack means once its base fields are added, and how the next sink is
// told.
#include "core/decode/emitter.h"
#include "core/decode/senml_sink.h"

#include <algorithm>
#include <cmath>
#include <format>

#include <sluice/base/encoding.h>

namespace sluice::validator {
namespace {

/// RFC 8428 section 4.5.3: below this a time counts from now.
constexpr double kAbsoluteFrom = 268'435'456.0;
/// The year 5138, beyond which milliseconds would be taken for microseconds by those who read them.
constexpr double kMaxSeconds = 1e11;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == ':' || c == '.' || c == '/' || c == '_';
}

/// RFC 8428 section 4.5.1.
bool is_name(std::string_view name) {
  if (name.empty() || !std::ranges::all_of(name, is_name_character)) return false;
  return name[0] != '-' && name[0] != ':' && name[0] != '.' && name[0] != '/' && name[0] != '_';
}

}  // namespace

SenmlSink::Number SenmlSink::add(const Number& a, const Number& b) {
  const auto* x = std::get_if<std::int64_t>(&a);
  const auto* y = std::get_if<std::int64_t>(&b);
  std::int64_t sum = 0;
  if (x != nullptr && y != nullptr && !__builtin_add_overflow(*x, *y, &sum)) return sum;
  return as_double(a) + as_double(b);
}

bool SenmlSink::end_record() {
  const auto take_over = [](auto& base, const auto& field) {
    if (field) base = field;
  };
  take_over(bases_.base_name, record_.base_name);
  take_over(bases_.base_unit, record_.base_unit);
  take_over(bases_.base_time, record_.base_time);
  take_over(bases_.base_value, record_.base_value);
  take_over(bases_.base_sum, record_.base_sum);
  const bool has_value = !std::holds_alternative<std::monostate>(record_.value) || record_.sum;
  const bool has_base = record_.base_name || record_.base_unit || record_.base_time ||
                        record_.base_value || record_.base_sum ||
                        (fields_seen_ >> static_cast<unsigned>(Field::kBaseVersion) & 1U) != 0;
  // Only sets the bases of those that follow.
  if (!has_value && !record_.name && has_base) return true;
  Resolved resolved;
  if (!resolve_name(resolved) || !resolve_time(resolved) || !resolve_value(resolved)) return false;
  resolved.unit = record_.unit ? *record_.unit : bases_.base_unit.value_or(Text{});
  records_.push_back(resolved);
  return true;
}

bool SenmlSink::resolve_name(Resolved& resolved) {
  const Text base = bases_.base_name.value_or(Text{});
  const Text own = record_.name.value_or(Text{});
  if (base.size == 0 || own.size == 0 || names_ == SenmlNames::kLocal) {
    resolved.name = own.size > 0 ? own : base;
  } else {
    scratch_.assign(view(base));
    scratch_ += view(own);
    resolved.name = keep(scratch_);
  }
  // Each name may repeat a long base: what they are joined to is bounded as the payload is.
  if (texts_.size() > limits_.max_bytes) {
    return refuse(RejectReason::kPayloadTooLarge,
                  std::format("names of more than {} bytes once resolved", limits_.max_bytes));
  }
  if (is_name(view(resolved.name))) return true;
  return refuse(RejectReason::kMalformedPayload,
                "the record's name is not one of SenML (letters, digits and -:./_)");
}

bool SenmlSink::resolve_time(Resolved& resolved) {
  const Number zero = std::int64_t{0};
  const double seconds =
      as_double(add(bases_.base_time.value_or(zero), record_.time.value_or(zero)));
  if (!(std::abs(seconds) < kMaxSeconds)) {
    return refuse(RejectReason::kNumberOutOfRange, "the record's time is out of range");
  }
  if (seconds != 0) {
    const auto milliseconds = static_cast<std::int64_t>(std::llround(seconds * 1000));
    resolved.time_ms = seconds >= kAbsoluteFrom ? milliseconds : received_at_ms_ + milliseconds;
  }
  return true;
}

bool SenmlSink::resolve_value(Resolved& resolved) {
  resolved.value = record_.value;
  resolved.sum = record_.sum;
  // RFC 8428 section 4.3: where only one of base and own is there, the other counts as zero.
  if (const auto* number = std::get_if<Number>(&record_.value)) {
    if (bases_.base_value) resolved.value = add(*bases_.base_value, *number);
  } else if (std::holds_alternative<std::monostate>(record_.value) && bases_.base_value) {
    resolved.value = *bases_.base_value;
  }
  if (bases_.base_sum) {
    const Number zero = std::int64_t{0};
    if (record_.sum || std::holds_alternative<Number>(resolved.value) ||
        std::holds_alternative<std::monostate>(resolved.value)) {
      resolved.sum = add(*bases_.base_sum, record_.sum.value_or(zero));
    }
  }
  if (resolved.sum && !std::isfinite(as_double(*resolved.sum))) {
    return refuse(RejectReason::kNonFiniteNumber, "base sum and sum have no finite sum");
  }
  if (const auto* number = std::get_if<Number>(&resolved.value);
      number != nullptr && !std::isfinite(as_double(*number))) {
    return refuse(RejectReason::kNonFiniteNumber, "base value and value have no finite sum");
  }
  if (!std::holds_alternative<std::monostate>(resolved.value) || resolved.sum) return true;
  return refuse(RejectReason::kMalformedPayload, "a record without a value");
}

std::optional<Rejection> SenmlSink::finish(PayloadSink& next) {
  if (rejection_) return std::move(rejection_);
  depth_ = 0;
  if (!had_array_) {
    refuse(RejectReason::kUnknownShape, "a SenML pack is an array of records");
    return std::move(rejection_);
  }
  tell(next);
  return std::move(rejection_);
}

bool SenmlSink::tell(PayloadSink& next) {
  // Numbers each time by its first record, then brings records of one time together.
  auto& times = times_;
  times.clear();
  for (std::uint32_t i = 0; i < records_.size(); ++i) times.emplace_back(records_[i].time_ms, i);
  std::ranges::sort(times);
  std::uint32_t first = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (i == 0 || times[i].first != times[i - 1].first) first = times[i].second;
    records_[times[i].second].group = first;
  }
  std::ranges::stable_sort(records_, {}, &Resolved::group);

  if (!next.begin_array()) return false;
  for (std::size_t i = 0; i < records_.size();) {
    const std::uint32_t group = records_[i].group;
    if (!next.begin_object()) return false;
    if (records_[i].time_ms && !(next.on_key("ts") && next.on_int64(*records_[i].time_ms)))
      return false;
    if (!next.on_key("values") || !next.begin_object()) return false;
    for (; i < records_.size() && records_[i].group == group; ++i) {
      if (!tell_record(records_[i], next)) return false;
    }
    if (!next.end_object() || !next.end_object()) return false;
  }
  return next.end_array();
}

bool SenmlSink::tell_record(const Resolved& resolved, PayloadSink& next) {
  if (!std::holds_alternative<std::monostate>(resolved.value)) {
    if (!next.on_key(view(resolved.name)) || !next.begin_object() || !next.on_key("value"))
      return false;
    if (!tell_value(resolved.value, next)) return false;
    if (resolved.unit.size > 0 && !(next.on_key("unit") && next.on_string(view(resolved.unit))))
      return false;
    if (!next.end_object()) return false;
  }
  if (!resolved.sum) return true;
  scratch_.assign(view(resolved.name));
  scratch_ += ".sum";
  return next.on_key(scratch_) && next.begin_object() && next.on_key("value") &&
         tell_value(*resolved.sum, next) && next.end_object();
}

bool SenmlSink::tell_value(const Value& value, PayloadSink& next) {
  if (const auto* number = std::get_if<Number>(&value)) {
    const auto* integer = std::get_if<std::int64_t>(number);
    return integer != nullptr ? next.on_int64(*integer) : next.on_double(std::get<double>(*number));
  }
  if (const auto* text = std::get_if<Text>(&value)) return next.on_string(view(*text));
  if (const auto* truth = std::get_if<bool>(&value)) return next.on_bool(*truth);
  const Data& data = std::get<Data>(value);
  if (data.is_raw) return next.on_bytes(std::as_bytes(std::span(view(data.text))));
  const auto bytes = from_base64url(view(data.text));
  if (!bytes) return refuse(RejectReason::kMalformedPayload, "vd is not base64url without padding");
  return next.on_bytes(std::as_bytes(std::span(*bytes)));
}

}  // namespace sluice::validator
