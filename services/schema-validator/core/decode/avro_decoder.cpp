#include "core/decode/avro_decoder.h"

#include "core/decode/byte_reader.h"
#include "core/decode/emitter.h"
#include "core/decode/null_sink.h"

#include <array>
#include <bit>
#include <charconv>
#include <format>
#include <limits>

namespace sluice::validator {
namespace {

constexpr std::size_t kConfluentHeader = 5;
constexpr std::size_t kSingleObjectHeader = 10;

class AvroReader {
 public:
  AvroReader(std::span<const std::byte> payload, const AvroSchema& schema, Emitter& emitter)
      : in_(payload), schema_(schema), emitter_(emitter) {}

  bool read_all() {
    if (!read_value(schema_.root(), 0)) return false;
    if (in_.at_end()) return true;
    return malformed("bytes follow the body");
  }

 private:
  using Kind = AvroSchema::Kind;

  bool malformed(std::string_view what) {
    return emitter_.refuse(RejectReason::kMalformedPayload,
                           std::format("{} at byte {}", what, in_.position()));
  }
  bool truncated() { return malformed("the body ends inside a value"); }

  /// `unions` counts the unions around a value with nothing in between, which cost no depth.
  bool read_value(std::uint32_t index, int unions) {
    const AvroSchema::Node& node = schema_.node(index);
    switch (node.kind) {
      case Kind::kNull:
        return emitter_.on_null();
      case Kind::kBoolean:
        return read_boolean();
      case Kind::kInt:
        return read_int();
      case Kind::kLong: {
        std::int64_t value = 0;
        return take_long(value) && emitter_.on_int64(value);
      }
      case Kind::kFloat:
        return read_float<std::uint32_t, float>();
      case Kind::kDouble:
        return read_float<std::uint64_t, double>();
      case Kind::kString: {
        std::string_view text;
        std::uint64_t size = 0;
        if (!take_size(size)) return false;
        return in_.take_text(size, text) ? emitter_.on_string(text) : truncated();
      }
      case Kind::kBytes:
      case Kind::kFixed:
        return read_bytes(node);
      case Kind::kEnum:
        return read_enum(node);
      case Kind::kArray:
        return read_array(node);
      case Kind::kMap:
        return read_map(node);
      case Kind::kUnion:
        return read_union(node, unions);
      case Kind::kRecord:
        return read_record(node);
    }
    return malformed("a value of no kind");
  }

  bool take_long(std::int64_t& value) {
    std::uint64_t bits = 0;
    if (!in_.take_varint(bits)) return malformed("no number of 64 bits");
    value = from_zigzag(bits);
    return true;
  }
  bool take_size(std::uint64_t& size) {
    std::int64_t value = 0;
    if (!take_long(value)) return false;
    if (value < 0) return malformed("a negative length");
    size = static_cast<std::uint64_t>(value);
    return true;
  }

  bool read_boolean() {
    std::uint8_t value = 0;
    if (!in_.take_byte(value)) return truncated();
    return value <= 1 ? emitter_.on_bool(value == 1) : malformed("a truth value that is neither");
  }
  bool read_int() {
    std::int64_t value = 0;
    if (!take_long(value)) return false;
    const bool fits = value >= INT32_MIN && value <= INT32_MAX;
    return fits ? emitter_.on_int64(value) : malformed("an int of more than 32 bits");
  }
  template <typename Bits, typename Float>
  bool read_float() {
    Bits bits = 0;
    return in_.take_little_endian(bits) ? emitter_.on_double(std::bit_cast<Float>(bits))
                                        : truncated();
  }

  bool read_bytes(const AvroSchema::Node& node) {
    std::uint64_t size = node.size;
    if (node.kind == Kind::kBytes && !take_size(size)) return false;
    std::span<const std::byte> bytes;
    if (!in_.take_bytes(size, bytes)) return truncated();
    return node.is_decimal ? tell_decimal(bytes, node.scale) : emitter_.on_bytes(bytes);
  }

  /// Big-endian two's complement, divided by a power of ten: rounded once, as text is.
  bool tell_decimal(std::span<const std::byte> bytes, std::uint32_t scale) {
    if (bytes.empty()) return malformed("a decimal without digits");
    const bool is_negative = (std::to_integer<unsigned>(bytes[0]) & 0x80U) != 0;
    const std::byte sign = is_negative ? std::byte{0xFF} : std::byte{0};
    while (bytes.size() > sizeof(std::int64_t) && bytes[0] == sign) bytes = bytes.subspan(1);
    std::uint64_t value = is_negative ? UINT64_MAX : 0;
    for (const std::byte byte : bytes) value = value << 8U | std::to_integer<std::uint64_t>(byte);
    const auto unscaled = static_cast<std::int64_t>(value);
    if (bytes.size() > sizeof(std::int64_t) || (unscaled < 0) != is_negative) {
      return emitter_.refuse(RejectReason::kNumberOutOfRange,
                             std::format("a decimal beyond 64 bits at byte {}", in_.position()));
    }
    std::array<char, 64> text{};
    const auto end = std::format_to_n(text.data(), text.size(), "{}e-{}", unscaled, scale).out;
    double number = 0;
    const auto read = std::from_chars(text.data(), end, number);
    // Below the least double it is zero, as it would be for a text.
    if (read.ec == std::errc::result_out_of_range) number = 0;
    return emitter_.on_double(number);
  }

  bool read_enum(const AvroSchema::Node& node) {
    std::int64_t index = 0;
    if (!take_long(index)) return false;
    if (index < 0 || index >= node.count) return malformed("an enum without such a symbol");
    return emitter_.on_string(schema_.child(node.first + static_cast<std::uint32_t>(index)).name);
  }

  bool read_union(const AvroSchema::Node& node, int unions) {
    std::int64_t index = 0;
    if (!take_long(index)) return false;
    if (index < 0 || index >= node.count) return malformed("a union without such a branch");
    // A union does not stand in a union: the schema's compiler sees to it.
    if (unions > 0) return malformed("a union in a union");
    return read_value(schema_.child(node.first + static_cast<std::uint32_t>(index)).node,
                      unions + 1);
  }

  bool read_record(const AvroSchema::Node& node) {
    if (!emitter_.begin_object()) return false;
    for (std::uint32_t i = 0; i < node.count; ++i) {
      const AvroSchema::Child& field = schema_.child(node.first + i);
      if (!emitter_.on_key(field.name) || !read_value(field.node, 0)) return false;
    }
    return emitter_.end_object();
  }

  /// The next block's count: 0 is the end. A negative one is followed by the block's size in bytes,
  /// which a reader that skips nothing has no use for.
  bool take_block(std::uint64_t& count) {
    std::int64_t value = 0;
    if (!take_long(value)) return false;
    count = value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
    std::uint64_t bytes = 0;
    if (value < 0 && !take_size(bytes)) return false;
    // Items may have no bytes at all (nulls), so that the bytes left bound nothing.
    return emitter_.has_room_for(count) || emitter_.too_complex();
  }

  bool read_array(const AvroSchema::Node& node) {
    if (!emitter_.begin_array()) return false;
    for (std::uint64_t count = 0;;) {
      if (!take_block(count)) return false;
      if (count == 0) return emitter_.end_array();
      for (; count > 0; --count) {
        if (!read_value(node.first, 0)) return false;
      }
    }
  }

  bool read_map(const AvroSchema::Node& node) {
    if (!emitter_.begin_object()) return false;
    for (std::uint64_t count = 0;;) {
      if (!take_block(count)) return false;
      if (count == 0) return emitter_.end_object();
      for (; count > 0; --count) {
        std::uint64_t size = 0;
        std::string_view key;
        if (!take_size(size)) return false;
        if (!in_.take_text(size, key)) return truncated();
        if (!emitter_.on_key(key) || !read_value(node.first, 0)) return false;
      }
    }
  }

  ByteReader in_;
  const AvroSchema& schema_;
  Emitter& emitter_;
};

std::optional<Rejection> decode_body(std::span<const std::byte> body, const AvroSchema& schema,
                                     const PayloadLimits& limits, PayloadSink& sink) {
  Emitter emitter(sink, limits);
  AvroReader(body, schema, emitter).read_all();
  return std::move(emitter.rejection());
}

Rejection wrong_header(std::string detail) {
  return {.reason = RejectReason::kMalformedPayload, .detail = std::move(detail)};
}

bool has_single_object_header(std::span<const std::byte> payload) {
  return payload.size() >= kSingleObjectHeader && payload[0] == std::byte{0xC3} &&
         payload[1] == std::byte{0x01};
}

bool is_fingerprint_ours(std::span<const std::byte> payload, const AvroSchema& schema) {
  std::uint64_t fingerprint = 0;
  ByteReader header(payload.subspan(2));
  return header.take_little_endian(fingerprint) && fingerprint == schema.fingerprint();
}

bool has_confluent_header(std::span<const std::byte> payload) {
  return payload.size() >= kConfluentHeader && payload[0] == std::byte{0};
}

/// Which framing a payload has. A body may itself begin with a zero byte, so that Confluent's
/// header is believed only where the whole is no body.
AvroFraming detect(std::span<const std::byte> payload, const AvroSchema& schema,
                   const PayloadLimits& limits) {
  if (has_single_object_header(payload) && is_fingerprint_ours(payload, schema)) {
    return AvroFraming::kSingleObject;
  }
  if (!has_confluent_header(payload)) return AvroFraming::kPlain;
  NullSink nowhere;
  const bool is_body = !decode_body(payload, schema, limits, nowhere);
  return is_body ? AvroFraming::kPlain : AvroFraming::kConfluent;
}

}  // namespace

std::optional<Rejection> decode_avro(std::span<const std::byte> payload, const AvroSchema& schema,
                                     AvroFraming framing, const PayloadLimits& limits,
                                     PayloadSink& sink) {
  if (framing == AvroFraming::kDetect) framing = detect(payload, schema, limits);
  if (framing == AvroFraming::kConfluent) {
    if (!has_confluent_header(payload)) return wrong_header("no zero byte and schema id in front");
    payload = payload.subspan(kConfluentHeader);
  } else if (framing == AvroFraming::kSingleObject) {
    if (!has_single_object_header(payload)) return wrong_header("no single-object header in front");
    if (!is_fingerprint_ours(payload, schema)) {
      return wrong_header("the fingerprint in front is another schema's");
    }
    payload = payload.subspan(kSingleObjectHeader);
  }
  return decode_body(payload, schema, limits, sink);
}

}  // namespace sluice::validator
