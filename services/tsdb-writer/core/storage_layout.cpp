#include "core/storage_layout.h"

#include <array>
#include <format>

#include <sluice/base/check.h>

namespace sluice::tsdb {

std::string_view to_string(Tier tier) {
  switch (tier) {
    case Tier::kHot:
      return "hot";
    case Tier::kWarm:
      return "warm";
    case Tier::kRollup1m:
      return "rollup_1m";
    case Tier::kRollup1h:
      return "rollup_1h";
    case Tier::kRollup1d:
      return "rollup_1d";
  }
  return "";
}

std::string table_name(Tier tier, PolicyId policy) {
  if (tier == Tier::kHot) return "hot";
  return std::format("{}_p{}", to_string(tier), policy.value());
}

std::string column_of_metric(MetricKey metric) {
  SLUICE_CHECK(metric.value() > 0);
  std::string name;
  const auto key = static_cast<std::uint32_t>(metric.value());
  for (int shift = 24; shift >= 0; shift -= 8) {
    const std::uint32_t rest = key >> static_cast<unsigned>(shift);
    if (rest != 0) name += static_cast<char>(rest & 0xffU);
  }
  return name;
}

std::string column_of_remarks(MetricKey metric) {
  return std::string(kMessageRemarksColumn) + column_of_metric(metric);
}

std::optional<ColumnMeaning> meaning_of(std::string_view column) {
  if (column == kMessageRemarksColumn) return ColumnMeaning{.metric = {}, .is_remarks = true};
  const bool is_remarks = column.starts_with('\0');
  if (is_remarks) column.remove_prefix(1);
  if (column.empty() || column.size() > sizeof(std::int32_t) || column.front() == '\0') {
    return std::nullopt;
  }
  std::uint32_t key = 0;
  for (const char byte : column) key = (key << 8U) | static_cast<unsigned char>(byte);
  if (key > static_cast<std::uint32_t>(INT32_MAX)) return std::nullopt;
  return ColumnMeaning{.metric = MetricKey(static_cast<std::int32_t>(key)),
                       .is_remarks = is_remarks};
}

}  // namespace sluice::tsdb
