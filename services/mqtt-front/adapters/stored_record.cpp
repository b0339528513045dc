#include "adapters/stored_record.h"

#include <format>

namespace sluice::front {

void RecordWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80));
  byte(static_cast<std::uint8_t>(value));
}

void RecordWriter::text(std::string_view value) {
  varint(value.size());
  out_.append(value);
}

std::uint64_t RecordReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t next = byte();
    value |= std::uint64_t{next & 0x7FU} << shift;
    if ((next & 0x80) == 0) return value;
  }
  spoil();
  return 0;
}

std::string_view RecordReader::text() {
  const std::uint64_t size = varint();
  if (size > rest_.size()) return spoil(), std::string_view();
  const std::string_view value = rest_.substr(0, static_cast<std::size_t>(size));
  rest_.remove_prefix(value.size());
  return value;
}

std::optional<mqtt::Qos> to_qos(std::uint8_t bits) {
  if (bits > 2) return std::nullopt;
  return static_cast<mqtt::Qos>(bits);
}

Error damaged_record(std::string_view what) {
  return Error(ErrorCode::kDataLoss, std::format("a stored {} cannot be read", what))
      .with_reason("stored_record");
}

}  // namespace sluice::front
