#include <sluice/ingest/raw_message.h>

#include "wire.h"

#include <sluice/base/utf8.h>

namespace sluice::ingest {

namespace {

/// The text that field `number` of a RawMessage goes to; null where it is no text.
std::string_view* text_of(RawMessageView& view, std::uint32_t number) {
  switch (number) {
    case 2:
      return &view.tenant;
    case 3:
      return &view.device;
    case 4:
      return &view.fleet;
    case 5:
      return &view.device_type;
    case 6:
      return &view.region;
    case 8:
      return &view.stream;
    case 9:
      return &view.topic;
    case 12:
      return &view.content_type;
    case 13:
      return &view.content_encoding;
    case 18:
      return &view.traceparent;
    case 19:
      return &view.schema_id;
    case 20:
      return &view.redrive_id;
    default:
      return nullptr;
  }
}

/// False where the field's wire type is not its own.
bool take_number(RawMessageView& view, const wire::Field& field) {
  const bool is_varint = field.type == wire::Type::kVarint;
  switch (field.number) {
    case 7:
      view.channel = static_cast<std::uint32_t>(field.value);
      return is_varint;
    case 10:
      view.qos = static_cast<std::uint32_t>(field.value);
      return is_varint;
    case 11:
      view.protocol = static_cast<std::uint32_t>(field.value);
      return is_varint;
    case 15:
      view.received_at_ms = static_cast<std::int64_t>(field.value);
      return is_varint;
    case 16:
      view.sequence = field.value;
      return is_varint;
    case 17:
      view.buffered = field.value != 0;
      return is_varint;
    default:
      return true;  // of a later version
  }
}

std::unexpected<Error> damaged(const char* what) {
  return fail(ErrorCode::kDataLoss, std::string("no RawMessage: ") + what);
}

}  // namespace

Result<RawMessageView> read_raw_message(std::string_view bytes) {
  RawMessageView view;
  wire::Reader reader(bytes);
  wire::Field field;
  while (reader.next(field)) {
    if (field.number == 1 || field.number == 14) {
      if (field.type != wire::Type::kBytes) return damaged("wrong wire type");
      (field.number == 1 ? view.message_id : view.payload) = field.bytes;
    } else if (std::string_view* const text = text_of(view, field.number)) {
      if (field.type != wire::Type::kBytes) return damaged("wrong wire type");
      if (!is_valid_utf8(field.bytes)) return damaged("a text that is not UTF-8");
      *text = field.bytes;
    } else if (!take_number(view, field)) {
      return damaged("wrong wire type");
    }
  }
  if (reader.is_broken()) return damaged("cut off or damaged");
  return view;
}

}  // namespace sluice::ingest
