#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::ingest {

// The numbers of telemetry.v1.Channel and telemetry.v1.Protocol, here so that fronts need not
// include generated code for every message.
enum class Channel : std::uint8_t { kTelemetry = 1, kEvent = 2 };
enum class Protocol : std::uint8_t { kMqtt = 1, kHttp = 2, kCoap = 3 };

/// What is the same for all messages of one connection on one topic. All texts are valid UTF-8.
struct EnvelopeSource {
  std::string_view tenant{};
  std::string_view device{};
  std::string_view fleet{};
  std::string_view device_type{};
  std::string_view region{};
  std::string_view schema_id{};
  std::string_view stream{};  // or the event's type
  std::string_view topic{};   // as the device wrote it
  Channel channel = Channel::kTelemetry;
  Protocol protocol = Protocol::kMqtt;
};

/// The same, serialized: made once, copied into every message.
class EnvelopePrefix {
 public:
  EnvelopePrefix() = default;
  explicit EnvelopePrefix(const EnvelopeSource& source);
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// What a device declared about its message, outside of the payload: content type and user
/// properties of MQTT 5, headers of HTTP. Views into the packet.
struct DeclaredFields {
  std::optional<std::uint64_t> sequence{};
  bool buffered = false;
  std::string_view traceparent{};
  std::string_view content_type{};
  std::string_view content_encoding{};
};

/// What became of one declared property.
enum class Declared : std::uint8_t {
  kTaken,
  kNotOurs,  // none of the names below: the device's own business
  kInvalid,  // one of them with a value that is not believed: ignored, to be counted
};
/// Reads one name/value pair: `buffered` (true, false, 1, 0), `seq` or `sequence` (decimal),
/// `traceparent` (W3C, version 00), `content-encoding` (gzip, zstd). Names compare without case.
/// The last valid one of a name holds.
Declared read_declared(std::string_view name, std::string_view value, DeclaredFields& fields);
/// The content type: printable ASCII, at most kMaxContentTypeSize.
Declared read_content_type(std::string_view value, DeclaredFields& fields);
/// Longer than any registered media type with parameters (RFC 6838 allows 127 + 127).
inline constexpr std::size_t kMaxContentTypeSize = 256;

/// What differs from message to message.
struct EnvelopeFields {
  std::array<std::uint8_t, 16> message_id{};
  std::uint8_t qos = 0;
  std::int64_t received_at_ms = 0;
  std::span<const std::byte> payload{};
  DeclaredFields declared{};
};

/// Bytes of the serialized telemetry.v1.RawMessage.
std::size_t envelope_size(const EnvelopePrefix& prefix, const EnvelopeFields& fields);
/// Writes exactly envelope_size() bytes to `out` and returns the byte past them: for a producer
/// that has the room in its batch.
char* write_envelope(const EnvelopePrefix& prefix, const EnvelopeFields& fields, char* out);
/// Appends the same to `out`: at most one allocation, none where its capacity suffices.
void append_envelope(const EnvelopePrefix& prefix, const EnvelopeFields& fields, std::string& out);

}  // namespace sluice::ingest
