#include "valid_fields.h"
#include "wire.h"

#include <bit>

#include <sluice/base/check.h>
#include <sluice/ingest/valid_message.h>

namespace sluice::ingest {

namespace {

/// The most that a field takes beside the bytes of a text: its tag and a varint.
constexpr std::size_t kMostBeside = 2 + 10;
/// The most that a packed list of remarks takes: one byte for each, there being 32 bits.
constexpr std::size_t kMostQuality = 2 + 1 + 32;
/// The most that a reading takes beside its texts: two tags and sizes, and a value.
constexpr std::size_t kMostOfReading = 3 * kMostBeside;

// The largest number of a remark takes one byte as a varint, so a packed list of them has as many
// bytes as remarks.
char* put_quality(char* out, std::uint32_t field, QualityBits quality) {
  if (quality == 0) return out;
  out = wire::put_varint(out, wire::tag(field, wire::Type::kBytes));
  *out++ = static_cast<char>(std::popcount(quality));
  for (; quality != 0; quality &= quality - 1)
    *out++ = static_cast<char>(std::countr_zero(quality));
  return out;
}

char* put_number(char* out, std::uint32_t field, std::uint64_t value) {
  return value == 0 ? out : wire::put_varint_field(out, field, value);
}

std::size_t most_of(const ValidReading& reading) {
  return reading.metric.size() + reading.unit.size() + reading.text.size() + kMostOfReading +
         (reading.quality == 0 ? 0 : kMostQuality);
}

std::size_t most_of(const ValidFields& fields) {
  return fields.message_id.size() + fields.tenant.size() + fields.device.size() +
         fields.fleet.size() + fields.device_type.size() + fields.region.size() +
         fields.stream.size() + fields.schema_id.size() + fields.schema_version.size() +
         fields.traceparent.size() + 18 * kMostBeside + kMostQuality;
}

char* put_value(char* out, const ValidReading& reading) {
  switch (reading.type) {
    case ReadingType::kNone:
      return out;
    case ReadingType::kDouble:
      return wire::put_double(out, 2, reading.number);
    case ReadingType::kInt64:
      return wire::put_varint_field(out, 3, static_cast<std::uint64_t>(reading.integer));
    case ReadingType::kBool:
      return wire::put_varint_field(out, 4, reading.integer != 0 ? 1 : 0);
    case ReadingType::kString:
    case ReadingType::kBytes:
      break;
  }
  // A member of a oneof is written even where it is empty.
  const std::uint32_t field = reading.type == ReadingType::kString ? 5 : 6;
  out = wire::put_varint(out, wire::tag(field, wire::Type::kBytes));
  return wire::put_raw(wire::put_varint(out, reading.text.size()), reading.text);
}

char* put_reading(char* out, const ValidReading& reading) {
  out = wire::put_bytes(out, 1, reading.metric);
  out = put_value(out, reading);
  out = wire::put_bytes(out, 7, reading.unit);
  return put_quality(out, kReadingQuality, reading.quality);
}

/// With its tag and size. What it takes is known when it is written; where that may need more than
/// one byte to be said, the reading moves behind it.
char* put_sized_reading(char* out, const ValidReading& reading) {
  out = wire::put_varint(out, wire::tag(kReadings, wire::Type::kBytes));
  char* const begin = out + 1;
  char* const end = put_reading(begin, reading);
  const auto size = static_cast<std::size_t>(end - begin);
  if (size < 0x80) {
    *out = static_cast<char>(size);
    return end;
  }
  std::memmove(out + wire::varint_size(size), begin, size);
  return wire::put_varint(out, size) + size;
}

char* put_fields(char* at, const ValidFields& fields) {
  at = wire::put_bytes(at, 1, fields.message_id);
  at = wire::put_bytes(at, 2, fields.tenant);
  at = wire::put_bytes(at, 3, fields.device);
  at = wire::put_bytes(at, 4, fields.fleet);
  at = wire::put_bytes(at, 5, fields.device_type);
  at = wire::put_bytes(at, 6, fields.region);
  at = wire::put_bytes(at, 8, fields.stream);
  at = wire::put_bytes(at, 10, fields.schema_id);
  at = wire::put_bytes(at, 11, fields.schema_version);
  at = wire::put_bytes(at, 19, fields.traceparent);
  at = put_number(at, 7, fields.channel);
  at = put_number(at, 9, fields.protocol);
  at = put_number(at, 12, static_cast<std::uint64_t>(fields.event_time_ms));
  at = put_number(at, 13, static_cast<std::uint64_t>(fields.received_at_ms));
  if (fields.device_time_ms) {
    at = wire::put_varint_field(at, 14, static_cast<std::uint64_t>(*fields.device_time_ms));
  }
  if (fields.sequence) at = wire::put_varint_field(at, 15, *fields.sequence);
  at = put_number(at, 16, fields.buffered ? 1 : 0);
  return put_number(at, 20, fields.part);
}

}  // namespace

void write_valid_message(const ValidFields& fields, std::span<const ValidReading> readings,
                         std::string& out) {
  // One pass, into room that is enough whatever the numbers are.
  std::size_t most = most_of(fields);
  for (const ValidReading& reading : readings) most += kMostBeside + most_of(reading);
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + most, [&](char* data, std::size_t room) {
    char* at = put_fields(data + before, fields);
    for (const ValidReading& reading : readings) at = put_sized_reading(at, reading);
    at = put_quality(at, kQuality, fields.quality);
    SLUICE_CHECK(at <= data + room);
    return static_cast<std::size_t>(at - data);
  });
}

}  // namespace sluice::ingest
