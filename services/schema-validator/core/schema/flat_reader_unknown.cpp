// Members that nobody named: kept, left out, or not for us.
#include "core/schema/flat_reader_inside.h"

#include <algorithm>
#include <cstring>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {
namespace {

/// Enough of a name to tell most others from it.
std::uint64_t sign_of(std::string_view name) {
  std::uint64_t sign = 0;
  std::memcpy(&sign, name.data(), std::min(name.size(), sizeof sign));
  return sign ^ (name.size() << 56U);
}

}  // namespace

FlatReader::At FlatReader::unknown(At at, std::uint32_t index, Place place) {
  const Additional additional =
      in_.program == nullptr ? Additional::kKeep : in_.program->objects[index].additional;
  if (additional == Additional::kReject || place == Place::kNested) return nullptr;
  std::string_view key;
  at = text(at, key);
  if (at == nullptr || !is_new(key)) return nullptr;
  at = colon(at);
  if (at >= end_) return nullptr;
  if (*at == 'n') return is_null_at(at) ? at + 4 : nullptr;
  if (additional == Additional::kKeep) return free_value(at, key);
  // Left out, but it has to be JSON.
  if (*at == '"') return text(at, key);
  bool is_true = false;
  if (*at == 't' || *at == 'f') return read_truth(at, is_true);
  JsonNumber number;
  return read_any_number(at, number);
}

bool FlatReader::is_new(std::string_view key) {
  if (unknown_count_ == kMaxUnknown) return false;
  if (SLUICE_PLANTED_BUG("validator_flat_json_takes_names_twice")) return true;
  const std::uint64_t sign = sign_of(key);
  for (std::size_t i = 0; i < unknown_count_; ++i) {
    if (unknown_signs_[i] == sign && key == std::string_view(unknown_[i], unknown_sizes_[i])) {
      return false;
    }
  }
  unknown_[unknown_count_] = key.data();
  unknown_sizes_[unknown_count_] = key.size();
  unknown_signs_[unknown_count_++] = sign;
  return true;
}

FlatReader::At FlatReader::free_value(At at, std::string_view key) {
  std::vector<Reading>& readings = in_.into->readings;
  const std::size_t count = readings.size() - in_.into->samples.back().first_reading;
  // A name with a dot may be another one's, written in another way.
  if (key.empty() || key.size() > in_.policy.max_name || count >= in_.policy.max_metrics ||
      key.find('.') != std::string_view::npos) {
    return nullptr;
  }
  const std::size_t known = in_.program == nullptr ? 0 : in_.program->metrics.size();
  Reading& reading = readings.emplace_back();
  reading.metric = key;
  reading.metric_id = static_cast<std::uint32_t>(known + count);
  if (*at == '"') {
    reading.type = ValueType::kString;
    return text(at, reading.text);
  }
  if (*at == 't' || *at == 'f') {
    bool is_true = false;
    at = read_truth(at, is_true);
    reading.type = ValueType::kBool;
    reading.integer = is_true ? 1 : 0;
    return at;
  }
  JsonNumber number;
  at = read_number(at, number);
  reading.type = number.is_integer ? ValueType::kInt64 : ValueType::kDouble;
  reading.integer = number.integer;
  reading.number = number.real;
  return at;
}

}  // namespace sluice::validator
