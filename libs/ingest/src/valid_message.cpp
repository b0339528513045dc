#include <sluice/ingest/valid_message.h>

#include "wire.h"

#include <bit>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/utf8.h>

namespace sluice::ingest {

namespace {

constexpr std::uint32_t kReadings = 17;
constexpr std::uint32_t kQuality = 18;
constexpr std::uint32_t kReadingQuality = 8;

// The largest number of a remark takes one byte as a varint, so a packed list of them has as many
// bytes as remarks.
std::size_t quality_size(std::uint32_t field, QualityBits quality) {
  return wire::bytes_size(field, static_cast<std::size_t>(std::popcount(quality)));
}
char* put_quality(char* out, std::uint32_t field, QualityBits quality) {
  if (quality == 0) return out;
  out = wire::put_varint(out, wire::tag(field, wire::Type::kBytes));
  *out++ = static_cast<char>(std::popcount(quality));
  for (; quality != 0; quality &= quality - 1)
    *out++ = static_cast<char>(std::countr_zero(quality));
  return out;
}

std::size_t reading_size(const ValidReading& reading) {
  std::size_t size = wire::bytes_size(1, reading.metric.size()) +
                     wire::bytes_size(7, reading.unit.size()) +
                     quality_size(kReadingQuality, reading.quality);
  switch (reading.type) {
    case ReadingType::kNone:
      break;
    case ReadingType::kDouble:
      size += 1 + sizeof(double);
      break;
    case ReadingType::kInt64:
      size += wire::varint_field_size(3, static_cast<std::uint64_t>(reading.integer));
      break;
    case ReadingType::kBool:
      size += 2;
      break;
    case ReadingType::kString:
    case ReadingType::kBytes:
      // A member of a oneof is written even where it is empty.
      size += 1 + wire::varint_size(reading.text.size()) + reading.text.size();
      break;
  }
  return size;
}

char* put_reading(char* out, const ValidReading& reading) {
  out = wire::put_bytes(out, 1, reading.metric);
  switch (reading.type) {
    case ReadingType::kNone:
      break;
    case ReadingType::kDouble:
      out = wire::put_double(out, 2, reading.number);
      break;
    case ReadingType::kInt64:
      out = wire::put_varint_field(out, 3, static_cast<std::uint64_t>(reading.integer));
      break;
    case ReadingType::kBool:
      out = wire::put_varint_field(out, 4, reading.integer != 0 ? 1 : 0);
      break;
    case ReadingType::kString:
    case ReadingType::kBytes: {
      const std::uint32_t field = reading.type == ReadingType::kString ? 5 : 6;
      out = wire::put_varint(out, wire::tag(field, wire::Type::kBytes));
      out = wire::put_varint(out, reading.text.size());
      if (!reading.text.empty()) std::memcpy(out, reading.text.data(), reading.text.size());
      out += reading.text.size();
      break;
    }
  }
  out = wire::put_bytes(out, 7, reading.unit);
  return put_quality(out, kReadingQuality, reading.quality);
}

using Text = std::pair<std::uint32_t, std::string_view>;
std::array<Text, 10> texts_of(const ValidFields& fields) {
  return {{{1, fields.message_id},
           {2, fields.tenant},
           {3, fields.device},
           {4, fields.fleet},
           {5, fields.device_type},
           {6, fields.region},
           {8, fields.stream},
           {10, fields.schema_id},
           {11, fields.schema_version},
           {19, fields.traceparent}}};
}

using Number = std::pair<std::uint32_t, std::optional<std::uint64_t>>;
std::array<Number, 8> numbers_of(const ValidFields& fields) {
  const auto unless_zero = [](std::uint64_t value) -> std::optional<std::uint64_t> {
    if (value == 0) return std::nullopt;
    return value;
  };
  const auto time = [&](std::int64_t value) {
    return unless_zero(static_cast<std::uint64_t>(value));
  };
  return {{{7, unless_zero(fields.channel)},
           {9, unless_zero(fields.protocol)},
           {12, time(fields.event_time_ms)},
           {13, time(fields.received_at_ms)},
           {14, fields.device_time_ms},
           {15, fields.sequence},
           {16, unless_zero(fields.buffered ? 1 : 0)},
           {20, unless_zero(fields.part)}}};
}

std::unexpected<Error> damaged(const char* what) {
  return fail(ErrorCode::kDataLoss, std::string("no ValidMessage: ") + what);
}

/// Adds the remarks of a packed list or of a single one. False where the bytes are none.
bool take_quality(const wire::Field& field, QualityBits& quality) {
  const auto add = [&](std::uint64_t number) {
    if (number > 0 && number < 32) quality |= QualityBits{1} << number;
  };
  if (field.type == wire::Type::kVarint) {
    add(field.value);
    return true;
  }
  if (field.type != wire::Type::kBytes) return false;
  const char* at = field.bytes.data();
  const char* const end = at + field.bytes.size();
  while (at != end) {
    std::uint64_t number = 0;
    unsigned shift = 0;
    for (;; ++at, shift += 7) {
      if (at == end || shift > 63) return false;
      const auto byte = static_cast<unsigned char>(*at);
      number |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) break;
    }
    ++at;
    add(number);
  }
  return true;
}

bool take_text(const wire::Field& field, std::string_view& text, bool is_utf8 = true) {
  if (field.type != wire::Type::kBytes) return false;
  text = field.bytes;
  return !is_utf8 || is_valid_utf8(text);
}

/// False where the bytes are no Reading. With `is_checked` they were found to be one before.
bool read_reading(std::string_view bytes, ValidReading& reading, bool is_checked) {
  reading = {};
  wire::Reader reader(bytes);
  wire::Field field;
  while (reader.next(field)) {
    bool is_good = true;
    switch (field.number) {
      case 1:
        is_good = take_text(field, reading.metric, !is_checked);
        break;
      case 2:
        reading.type = ReadingType::kDouble;
        reading.number = std::bit_cast<double>(field.value);
        is_good = field.type == wire::Type::kFixed64;
        break;
      case 3:
      case 4:
        reading.type = field.number == 3 ? ReadingType::kInt64 : ReadingType::kBool;
        reading.integer = field.number == 3 ? static_cast<std::int64_t>(field.value)
                                            : std::int64_t{field.value != 0};
        is_good = field.type == wire::Type::kVarint;
        break;
      case 5:
      case 6:
        reading.type = field.number == 5 ? ReadingType::kString : ReadingType::kBytes;
        is_good = take_text(field, reading.text, field.number == 5 && !is_checked);
        break;
      case 7:
        is_good = take_text(field, reading.unit, !is_checked);
        break;
      case kReadingQuality:
        is_good = take_quality(field, reading.quality);
        break;
      default:
        break;
    }
    if (!is_good) return false;
  }
  return !reader.is_broken();
}

}  // namespace

void write_valid_message(const ValidFields& fields, std::span<const ValidReading> readings,
                         std::string& out) {
  const auto texts = texts_of(fields);
  const auto numbers = numbers_of(fields);
  std::size_t size = quality_size(kQuality, fields.quality);
  for (const auto& [field, text] : texts) size += wire::bytes_size(field, text.size());
  for (const auto& [field, number] : numbers) {
    if (number) size += wire::varint_field_size(field, *number);
  }
  for (const ValidReading& reading : readings) {
    const std::size_t inside = reading_size(reading);
    size += 2 + wire::varint_size(inside) + inside;
  }
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + size, [&](char* data, std::size_t whole) {
    char* at = data + before;
    for (const auto& [field, text] : texts) at = wire::put_bytes(at, field, text);
    for (const auto& [field, number] : numbers) {
      if (number) at = wire::put_varint_field(at, field, *number);
    }
    for (const ValidReading& reading : readings) {
      at = wire::put_varint(at, wire::tag(kReadings, wire::Type::kBytes));
      at = wire::put_varint(at, reading_size(reading));
      at = put_reading(at, reading);
    }
    at = put_quality(at, kQuality, fields.quality);
    SLUICE_CHECK(at == data + whole);
    return whole;
  });
}

void ValidMessageView::Iterator::load() {
  wire::Reader reader({at_, static_cast<std::size_t>(end_ - at_)});
  wire::Field field;
  do {
    SLUICE_CHECK(reader.next(field));  // read_valid_message() has counted them
  } while (field.number != kReadings);
  at_ = reader.at();
  SLUICE_CHECK(read_reading(field.bytes, reading_, true));
}

Result<ValidMessageView> read_valid_message(std::string_view bytes) {
  ValidMessageView view;
  view.bytes_ = bytes;
  ValidFields& fields = view.fields_;
  wire::Reader reader(bytes);
  wire::Field field;
  const char* at = reader.at();
  ValidReading reading;
  for (; reader.next(field); at = reader.at()) {
    const bool is_number = field.type == wire::Type::kVarint;
    bool is_good = true;
    switch (field.number) {
      case 1:
        is_good = take_text(field, fields.message_id, false);
        break;
      case 2:
        is_good = take_text(field, fields.tenant);
        break;
      case 3:
        is_good = take_text(field, fields.device);
        break;
      case 4:
        is_good = take_text(field, fields.fleet);
        break;
      case 5:
        is_good = take_text(field, fields.device_type);
        break;
      case 6:
        is_good = take_text(field, fields.region);
        break;
      case 8:
        is_good = take_text(field, fields.stream);
        break;
      case 10:
        is_good = take_text(field, fields.schema_id);
        break;
      case 11:
        is_good = take_text(field, fields.schema_version);
        break;
      case 19:
        is_good = take_text(field, fields.traceparent);
        break;
      case 7:
        fields.channel = static_cast<std::uint32_t>(field.value);
        is_good = is_number;
        break;
      case 9:
        fields.protocol = static_cast<std::uint32_t>(field.value);
        is_good = is_number;
        break;
      case 12:
        fields.event_time_ms = static_cast<std::int64_t>(field.value);
        is_good = is_number;
        break;
      case 13:
        fields.received_at_ms = static_cast<std::int64_t>(field.value);
        is_good = is_number;
        break;
      case 14:
        fields.device_time_ms = static_cast<std::int64_t>(field.value);
        is_good = is_number;
        break;
      case 15:
        fields.sequence = field.value;
        is_good = is_number;
        break;
      case 16:
        fields.buffered = field.value != 0;
        is_good = is_number;
        break;
      case 20:
        fields.part = static_cast<std::uint32_t>(field.value);
        is_good = is_number;
        break;
      case kReadings:
        if (field.type != wire::Type::kBytes || !read_reading(field.bytes, reading, false)) {
          return damaged("a reading that is none");
        }
        if (view.reading_count_++ == 0) view.readings_at_ = at;
        break;
      case kQuality:
        is_good = take_quality(field, fields.quality);
        break;
      default:
        break;  // of a later version
    }
    if (!is_good) return damaged("a wrong wire type, or a text that is not UTF-8");
  }
  if (reader.is_broken()) return damaged("cut off or damaged");
  return view;
}

}  // namespace sluice::ingest
