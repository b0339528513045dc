#include <sluice/ingest/envelope.h>

#include "wire.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include <sluice/base/check.h>

namespace sluice::ingest {

namespace {

// Field numbers of telemetry.v1.RawMessage. A test holds them against the generated class.
enum Field : std::uint32_t {
  kMessageId = 1,
  kTenant = 2,
  kDevice = 3,
  kFleet = 4,
  kDeviceType = 5,
  kRegion = 6,
  kChannel = 7,
  kStream = 8,
  kTopic = 9,
  kQos = 10,
  kProtocol = 11,
  kContentType = 12,
  kContentEncoding = 13,
  kPayload = 14,
  kReceivedAtMs = 15,
  kSequence = 16,
  kBuffered = 17,
  kTraceparent = 18,
  kSchemaId = 19,
};
std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};  // char views bytes
}

/// Whether `text` is `lower`, which is in lower case, but for the case of ASCII letters.
bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool read_boolean(std::string_view value, bool& out) {
  const bool is_true = value == "1" || equals_ignoring_case(value, "true");
  if (!is_true && value != "0" && !equals_ignoring_case(value, "false")) return false;
  out = is_true;
  return true;
}

bool read_sequence(std::string_view value, std::optional<std::uint64_t>& out) {
  std::uint64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end) return false;
  out = number;
  return true;
}

bool read_encoding(std::string_view value, std::string_view& out) {
  // The literals, not the device's spelling: readers of the envelope compare with these.
  for (const std::string_view known : {"gzip", "zstd"}) {
    if (!equals_ignoring_case(value, known)) continue;
    out = known;
    return true;
  }
  return false;
}

bool is_lower_hex_and_not_zero(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return std::ranges::all_of(text, is_digit) && text.find_first_not_of('0') != text.npos;
}

/// W3C Trace Context, version 00. TraceContext::parse() says the same, but makes its parts too; a
/// test holds the two against each other.
bool is_traceparent(std::string_view value) {
  return value.size() == 55 && value.starts_with("00-") && value[35] == '-' && value[52] == '-' &&
         is_lower_hex_and_not_zero(value.substr(3, 32)) &&
         is_lower_hex_and_not_zero(value.substr(36, 16)) &&
         (value.substr(53) == "00" || is_lower_hex_and_not_zero(value.substr(53)));
}

bool read_traceparent(std::string_view value, std::string_view& out) {
  if (!is_traceparent(value)) return false;
  out = value;
  return true;
}

}  // namespace

EnvelopePrefix::EnvelopePrefix(const EnvelopeSource& source) {
  const std::pair<Field, std::string_view> texts[] = {
      {kTenant, source.tenant}, {kDevice, source.device},
      {kFleet, source.fleet},   {kDeviceType, source.device_type},
      {kRegion, source.region}, {kStream, source.stream},
      {kTopic, source.topic},   {kSchemaId, source.schema_id}};
  const auto channel = static_cast<std::uint64_t>(source.channel);
  const auto protocol = static_cast<std::uint64_t>(source.protocol);
  std::size_t size =
      wire::varint_field_size(kChannel, channel) + wire::varint_field_size(kProtocol, protocol);
  for (const auto& [field, text] : texts) size += wire::bytes_size(field, text.size());
  bytes_.resize(size);
  char* out = bytes_.data();
  for (const auto& [field, text] : texts) out = wire::put_bytes(out, field, text);
  out = wire::put_varint_field(out, kChannel, channel);
  out = wire::put_varint_field(out, kProtocol, protocol);
  SLUICE_CHECK(out == bytes_.data() + bytes_.size());
}

Declared read_declared(std::string_view name, std::string_view value, DeclaredFields& fields) {
  const auto outcome = [](bool is_valid) {
    return is_valid ? Declared::kTaken : Declared::kInvalid;
  };
  if (equals_ignoring_case(name, "buffered")) return outcome(read_boolean(value, fields.buffered));
  if (equals_ignoring_case(name, "seq") || equals_ignoring_case(name, "sequence")) {
    return outcome(read_sequence(value, fields.sequence));
  }
  if (equals_ignoring_case(name, "traceparent")) {
    return outcome(read_traceparent(value, fields.traceparent));
  }
  if (equals_ignoring_case(name, "content-encoding")) {
    return outcome(read_encoding(value, fields.content_encoding));
  }
  return Declared::kNotOurs;
}

Declared read_content_type(std::string_view value, DeclaredFields& fields) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (value.empty() || value.size() > kMaxContentTypeSize ||
      !std::ranges::all_of(value, is_printable)) {
    return Declared::kInvalid;
  }
  fields.content_type = value;
  return Declared::kTaken;
}

std::size_t envelope_size(const EnvelopePrefix& prefix, const EnvelopeFields& fields) {
  const DeclaredFields& declared = fields.declared;
  return prefix.bytes().size() + wire::bytes_size(kMessageId, fields.message_id.size()) +
         (fields.qos != 0 ? wire::varint_field_size(kQos, fields.qos) : 0) +
         wire::varint_field_size(kReceivedAtMs, static_cast<std::uint64_t>(fields.received_at_ms)) +
         (declared.sequence ? wire::varint_field_size(kSequence, *declared.sequence) : 0) +
         (declared.buffered ? wire::varint_field_size(kBuffered, 1) : 0) +
         wire::bytes_size(kContentType, declared.content_type.size()) +
         wire::bytes_size(kContentEncoding, declared.content_encoding.size()) +
         wire::bytes_size(kTraceparent, declared.traceparent.size()) +
         wire::bytes_size(kPayload, fields.payload.size());
}

char* write_envelope(const EnvelopePrefix& prefix, const EnvelopeFields& fields, char* out) {
  const std::string_view constant = prefix.bytes();
  const DeclaredFields& declared = fields.declared;
  if (!constant.empty()) std::memcpy(out, constant.data(), constant.size());
  out += constant.size();
  out = wire::put_bytes(out, kMessageId, as_text(std::as_bytes(std::span(fields.message_id))));
  if (fields.qos != 0) out = wire::put_varint_field(out, kQos, fields.qos);
  out =
      wire::put_varint_field(out, kReceivedAtMs, static_cast<std::uint64_t>(fields.received_at_ms));
  if (declared.sequence) out = wire::put_varint_field(out, kSequence, *declared.sequence);
  if (declared.buffered) out = wire::put_varint_field(out, kBuffered, 1);
  out = wire::put_bytes(out, kContentType, declared.content_type);
  out = wire::put_bytes(out, kContentEncoding, declared.content_encoding);
  out = wire::put_bytes(out, kTraceparent, declared.traceparent);
  return wire::put_bytes(out, kPayload, as_text(fields.payload));
}

void append_envelope(const EnvelopePrefix& prefix, const EnvelopeFields& fields, std::string& out) {
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + envelope_size(prefix, fields),
                           [&](char* data, std::size_t size) {
                             write_envelope(prefix, fields, data + before);
                             return size;
                           });
}

}  // namespace sluice::ingest
