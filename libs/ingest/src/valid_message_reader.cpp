#include "valid_fields.h"
#include "wire.h"

#include <bit>

#include <sluice/base/check.h>
#include <sluice/ingest/valid_message.h>

namespace sluice::ingest {

namespace {

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
  return !is_utf8 || wire::is_text(text);
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
