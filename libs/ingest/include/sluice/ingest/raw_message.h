#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::ingest {

/// A telemetry.v1.RawMessage as views into its bytes: no copy is made, and texts live as long as
/// the record. Numbers of enums that are not known are kept as they came.
struct RawMessageView {
  std::string_view message_id{};
  std::string_view tenant{};
  std::string_view device{};
  std::string_view fleet{};
  std::string_view device_type{};
  std::string_view region{};
  std::uint32_t channel = 0;
  std::string_view stream{};
  std::string_view topic{};
  std::uint32_t qos = 0;
  std::uint32_t protocol = 0;
  std::string_view content_type{};
  std::string_view content_encoding{};
  std::string_view payload{};
  std::int64_t received_at_ms = 0;
  std::optional<std::uint64_t> sequence{};
  bool buffered = false;
  std::string_view traceparent{};
  std::string_view schema_id{};
  std::string_view redrive_id{};
};

/// Reads a serialized RawMessage. Fields that are not known are skipped; of a field that stands
/// twice the last one holds. kDataLoss where the bytes are no message: cut off, a wire type other
/// than the field's, or a text that is not UTF-8. Which fields must be there is the caller's rule.
Result<RawMessageView> read_raw_message(std::string_view bytes);

}  // namespace sluice::ingest
