#include "testing/telemetry_source.h"

#include "core/storage_layout.h"

#include <bit>
#include <format>

namespace sluice::tsdb::testing {
namespace {

int type_of(const Value& value) {
  using series::ColumnType;
  constexpr ColumnType kTypes[] = {ColumnType::kDouble, ColumnType::kInt64, ColumnType::kBool,
                                   ColumnType::kString};
  return static_cast<int>(kTypes[value.index()]);
}

}  // namespace

std::string spelled(const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    return std::format("{:016x}", std::bit_cast<std::uint64_t>(*number));
  }
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "1" : "0";
  return std::get<std::string>(value);
}

telemetry::v1::ValidMessage message_of(const Said& said) {
  telemetry::v1::ValidMessage message;
  message.set_tenant(said.tenant);
  message.set_device(said.device);
  message.set_device_type(said.device_type);
  message.set_fleet(said.fleet);
  message.set_event_time_ms(said.event_time_ms);
  message.set_received_at_ms(said.event_time_ms);
  for (const auto& [metric, value] : said.readings) {
    telemetry::v1::Reading& reading = *message.add_readings();
    reading.set_metric(metric);
    reading.set_unit(said.unit);
    if (const auto* number = std::get_if<double>(&value)) reading.set_double_value(*number);
    if (const auto* integer = std::get_if<std::int64_t>(&value)) reading.set_int64_value(*integer);
    if (const auto* truth = std::get_if<bool>(&value)) reading.set_bool_value(*truth);
    if (const auto* text = std::get_if<std::string>(&value)) reading.set_string_value(*text);
  }
  return message;
}

void store_into(const Said& said, Content& content) {
  for (const auto& [metric, value] : said.readings) {
    content[{said.tenant, said.device, metric, type_of(value), said.event_time_ms}] =
        spelled(value);
  }
}

}  // namespace sluice::tsdb::testing
