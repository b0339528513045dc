#include <sluice/ingest/raw_message.h>

#include "wire.h"

namespace sluice::ingest {

namespace {

/// False where the field's wire type is not its own, or it is no text.
bool take_text(const wire::Field& field, std::string_view& text) {
  if (field.type != wire::Type::kBytes) return false;
  text = field.bytes;
  return wire::is_text(text);
}
bool take_bytes(const wire::Field& field, std::string_view& bytes) {
  bytes = field.bytes;
  return field.type == wire::Type::kBytes;
}
template <typename Number>
bool take_number(const wire::Field& field, Number& number) {
  number = static_cast<Number>(field.value);
  return field.type == wire::Type::kVarint;
}

bool take(const wire::Field& field, RawMessageView& view) {
  switch (field.number) {
    case 1:
      return take_bytes(field, view.message_id);
    case 2:
      return take_text(field, view.tenant);
    case 3:
      return take_text(field, view.device);
    case 4:
      return take_text(field, view.fleet);
    case 5:
      return take_text(field, view.device_type);
    case 6:
      return take_text(field, view.region);
    case 7:
      return take_number(field, view.channel);
    case 8:
      return take_text(field, view.stream);
    case 9:
      return take_text(field, view.topic);
    case 10:
      return take_number(field, view.qos);
    case 11:
      return take_number(field, view.protocol);
    case 12:
      return take_text(field, view.content_type);
    case 13:
      return take_text(field, view.content_encoding);
    case 14:
      return take_bytes(field, view.payload);
    case 15:
      return take_number(field, view.received_at_ms);
    case 16:
      view.sequence = field.value;
      return field.type == wire::Type::kVarint;
    case 17:
      view.buffered = field.value != 0;
      return field.type == wire::Type::kVarint;
    case 18:
      return take_text(field, view.traceparent);
    case 19:
      return take_text(field, view.schema_id);
    case 20:
      return take_text(field, view.redrive_id);
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
    if (!take(field, view)) return damaged("a wrong wire type, or a text that is not UTF-8");
  }
  if (reader.is_broken()) return damaged("cut off or damaged");
  return view;
}

}  // namespace sluice::ingest
