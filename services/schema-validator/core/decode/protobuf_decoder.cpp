#include "core/decode/protobuf_decoder.h"

#include "core/decode/byte_reader.h"
#include "core/decode/emitter.h"
#include "core/decode/protobuf_wire.h"

#include <algorithm>
#include <bit>
#include <format>
#include <string>
#include <string_view>

namespace sluice::validator {
namespace {

using Type = ProtobufSchema::Type;
using Field = ProtobufSchema::Field;
using Message = ProtobufSchema::Message;

class ProtobufReader {
 public:
  ProtobufReader(const ProtobufSchema& schema, const PayloadLimits& limits, Emitter& emitter,
                 std::vector<ProtobufValue>& values)
      : schema_(schema),
        emitter_(emitter),
        values_(values),
        max_values_(limits.max_values),
        max_depth_(std::min(limits.max_depth, Emitter::kMaxDepth)) {
    values_.clear();
  }

  bool read_message(std::span<const std::byte> bytes, const Message& message, std::size_t depth) {
    // Wrappers open no object, and may in a hostile descriptor hold each other.
    if (depth > max_depth_) {
      return emitter_.refuse(RejectReason::kPayloadTooDeep,
                             std::format("nested deeper than {} levels (max_depth)", max_depth_));
    }
    const std::size_t begin = values_.size();
    if (!collect(bytes, message)) return false;
    std::sort(values_.begin() + static_cast<std::ptrdiff_t>(begin), values_.end(),
              [](const ProtobufValue& a, const ProtobufValue& b) {
                return a.field != b.field ? a.field < b.field : a.order < b.order;
              });
    const bool is_told = tell_message(message, begin, values_.size(), depth);
    values_.resize(begin);
    return is_told;
  }

 private:
  bool malformed(std::string_view what, const Message& message) {
    return emitter_.refuse(RejectReason::kMalformedPayload,
                           std::format("{} in a message {}", what, message.name));
  }

  bool collect(std::span<const std::byte> bytes, const Message& message) {
    ByteReader in(bytes);
    std::uint32_t order = 0;
    std::size_t next = 0;  // fields mostly come in the order of their numbers
    while (!in.at_end()) {
      std::uint64_t tag = 0;
      if (!in.take_varint(tag) || tag > UINT32_MAX || tag >> 3U == 0) {
        return malformed("no field begins", message);
      }
      const auto wire = static_cast<WireType>(tag & 7U);
      if ((tag & 7U) == 3 || (tag & 7U) == 4) {
        return malformed("a group, which is not read,", message);
      }
      ProtobufValue value{.order = order++, .is_delimited = wire == WireType::kDelimited};
      if (!take_wire(in, wire, value.number, value.bytes)) {
        return malformed("the payload ends inside a field", message);
      }
      if (!find(message, static_cast<std::uint32_t>(tag >> 3U), next)) continue;
      const Field& field = message.fields[next];
      const WireType expected = wire_type_of(field.type);
      const bool is_packed =
          field.is_repeated && wire == WireType::kDelimited && expected != WireType::kDelimited;
      if (wire != expected && !is_packed) {
        return malformed(std::format("field {} is of another type than registered", field.name),
                         message);
      }
      if (values_.size() >= max_values_) return emitter_.too_complex();
      value.field = static_cast<std::uint32_t>(next);
      values_.push_back(value);
    }
    return true;
  }

  static bool find(const Message& message, std::uint32_t number, std::size_t& place) {
    const auto& fields = message.fields;
    if (place < fields.size() && fields[place].number == number) return true;
    if (place + 1 < fields.size() && fields[place + 1].number == number) {
      ++place;
      return true;
    }
    const auto found = std::ranges::lower_bound(fields, number, {}, &Field::number);
    if (found == fields.end() || found->number != number) return false;
    place = static_cast<std::size_t>(found - fields.begin());
    return true;
  }

  bool tell_message(const Message& message, std::size_t begin, std::size_t end, std::size_t depth) {
    if (message.shape == ProtobufSchema::Shape::kTimestamp)
      return tell_timestamp(message, begin, end);
    if (message.shape == ProtobufSchema::Shape::kWrapper) {
      const Field& field = message.fields.front();
      return begin == end ? tell_zero(field) : tell_value(field, values_[end - 1], message, depth);
    }
    if (!emitter_.begin_object()) return false;
    std::size_t at = begin;
    for (std::uint32_t i = 0; i < message.fields.size(); ++i) {
      const Field& field = message.fields[i];
      const std::size_t first = at;
      while (at < end && values_[at].field == i) ++at;
      if (first == at) {
        if (field.tells_zero && !(emitter_.on_key(field.name) && tell_zero(field))) return false;
        continue;
      }
      if (!emitter_.on_key(field.name)) return false;
      if (!tell_field(field, first, at, message, depth)) return false;
    }
    return emitter_.end_object();
  }

  bool tell_field(const Field& field, std::size_t first, std::size_t last, const Message& message,
                  std::size_t depth) {
    if (field.is_map) return tell_map(field, first, last, message, depth);
    if (!field.is_repeated) {
      if (field.type == Type::kMessage && last - first > 1) {
        return malformed(std::format("field {} stands twice", field.name), message);
      }
      return tell_value(field, values_[last - 1], message, depth);
    }
    if (!emitter_.begin_array()) return false;
    for (std::size_t i = first; i < last; ++i) {
      const bool is_packed =
          values_[i].is_delimited && wire_type_of(field.type) != WireType::kDelimited;
      const bool is_told = is_packed ? tell_packed(field, values_[i].bytes, message, depth)
                                     : tell_value(field, values_[i], message, depth);
      if (!is_told) return false;
    }
    return emitter_.end_array();
  }

  bool tell_packed(const Field& field, std::span<const std::byte> bytes, const Message& message,
                   std::size_t depth) {
    ByteReader in(bytes);
    while (!in.at_end()) {
      ProtobufValue value;
      if (!take_wire(in, wire_type_of(field.type), value.number, value.bytes)) {
        return malformed(std::format("field {} ends inside a value", field.name), message);
      }
      if (!tell_value(field, value, message, depth)) return false;
    }
    return true;
  }

  bool tell_map(const Field& field, std::size_t first, std::size_t last, const Message& message,
                std::size_t depth) {
    const Message& entry = schema_.message(field.target);
    if (entry.fields.size() != 2) return malformed("a map without key and value", message);
    if (!emitter_.begin_object()) return false;
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t begin = values_.size();
      if (!collect(values_[i].bytes, entry)) return false;
      ProtobufValue key;
      ProtobufValue value;
      bool has_value = false;
      for (std::size_t j = begin; j < values_.size(); ++j) {
        (values_[j].field == 0 ? key : value) = values_[j];
        has_value = has_value || values_[j].field == 1;
      }
      values_.resize(begin);
      if (!tell_key(entry.fields[0], key)) return false;
      const bool is_zero = !has_value && entry.fields[1].type != Type::kMessage;
      if (!(is_zero ? tell_zero(entry.fields[1])
                    : tell_value(entry.fields[1], value, entry, depth))) {
        return false;
      }
    }
    return emitter_.end_object();
  }

  bool tell_key(const Field& field, const ProtobufValue& key) {
    switch (field.type) {
      case Type::kString:
        return emitter_.on_key(text_of(key.bytes));
      case Type::kBool:
        return emitter_.on_key(key.number != 0 ? "true" : "false");
      case Type::kUint32:
      case Type::kUint64:
      case Type::kFixed32:
      case Type::kFixed64:
        return emitter_.on_key(std::to_string(key.number));
      default:
        return emitter_.on_key(std::to_string(signed_of(field.type, key.number)));
    }
  }

  bool tell_timestamp(const Message& message, std::size_t begin, std::size_t end) {
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const auto number = static_cast<std::int64_t>(values_[i].number);
      (message.fields[values_[i].field].number == 1 ? seconds : nanoseconds) = number;
    }
    if (nanoseconds < 0 || nanoseconds > 999'999'999) {
      return malformed("nanoseconds out of range", message);
    }
    return emitter_.on_time(seconds, static_cast<std::uint32_t>(nanoseconds));
  }

  bool tell_zero(const Field& field) {
    switch (field.type) {
      case Type::kDouble:
      case Type::kFloat:
        return emitter_.on_double(0);
      case Type::kBool:
        return emitter_.on_bool(false);
      case Type::kString:
        return emitter_.on_string("");
      case Type::kBytes:
        return emitter_.on_bytes({});
      case Type::kEnum:
        return tell_enum(field, 0);
      default:
        return emitter_.on_int64(0);
    }
  }

  bool tell_enum(const Field& field, std::int32_t number) {
    const auto& values = schema_.enumeration(field.target).values;
    const auto found =
        std::ranges::lower_bound(values, number, {}, &std::pair<std::int32_t, std::string>::first);
    if (found == values.end() || found->first != number) return emitter_.on_int64(number);
    return emitter_.on_string(found->second);
  }

  bool tell_value(const Field& field, const ProtobufValue& value, const Message& message,
                  std::size_t depth) {
    switch (field.type) {
      case Type::kDouble:
        return emitter_.on_double(std::bit_cast<double>(value.number));
      case Type::kFloat:
        return emitter_.on_double(std::bit_cast<float>(static_cast<std::uint32_t>(value.number)));
      case Type::kBool:
        return emitter_.on_bool(value.number != 0);
      case Type::kUint64:
      case Type::kFixed64:
        return emitter_.on_uint64(value.number);
      case Type::kUint32:
      case Type::kFixed32:
        return emitter_.on_uint64(static_cast<std::uint32_t>(value.number));
      case Type::kEnum:
        return tell_enum(field,
                         static_cast<std::int32_t>(static_cast<std::uint32_t>(value.number)));
      case Type::kString:
        return emitter_.on_string(text_of(value.bytes));
      case Type::kBytes:
        return emitter_.on_bytes(value.bytes);
      // A copy of the span: the vector that `value` lies in grows.
      case Type::kMessage:
        return read_message(value.bytes, schema_.message(field.target), depth + 1);
      default:
        return emitter_.on_int64(signed_of(field.type, value.number));
    }
    return malformed("a value of no type", message);
  }

  const ProtobufSchema& schema_;
  Emitter& emitter_;
  std::vector<ProtobufValue>& values_;
  std::size_t max_values_;
  std::size_t max_depth_;
};

}  // namespace

std::optional<Rejection> decode_protobuf(std::span<const std::byte> payload,
                                         const ProtobufSchema& schema, const PayloadLimits& limits,
                                         PayloadSink& sink, std::vector<ProtobufValue>& scratch) {
  Emitter emitter(sink, limits);
  ProtobufReader(schema, limits, emitter, scratch).read_message(payload, schema.root(), 1);
  return std::move(emitter.rejection());
}

}  // namespace sluice::validator
