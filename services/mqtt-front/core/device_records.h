#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/ingest/envelope.h>
#include <sluice/ingest/topic_map.h>
#include <sluice/mqtt/packet.h>

namespace sluice::front {

/// Whose message it is, as its record says.
struct RecordSource {
  ingest::DeviceNames names{};
  std::string_view schema_id{};
  std::string_view region{};
};

/// Whether a device's own publish on such a topic becomes a `RawMessage`.
bool is_ingested(ingest::TopicKind kind);
/// Whether it becomes a `ShadowRequest`.
bool is_request(ingest::TopicKind kind);
/// Whether it becomes either of them.
inline bool goes_to_kafka(ingest::TopicKind kind) { return is_ingested(kind) || is_request(kind); }

/// What is the same for all messages on a topic of which is_ingested() is true.
ingest::EnvelopePrefix envelope_prefix(const RecordSource& source, const ingest::TopicInfo& info,
                                       std::string_view topic);

/// When a message came, and what names it.
struct RecordStamp {
  std::array<std::uint8_t, 16> message_id{};
  WallTime received_at{};
};
/// Appends the RawMessage of a publish.
void append_raw_message(const ingest::EnvelopePrefix& prefix, const mqtt::Publish& publish,
                        const RecordStamp& stamp, std::string& out);
/// Appends the ShadowRequest of a publish.
void append_request(const ingest::DeviceNames& names, const ingest::TopicInfo& info,
                    const mqtt::Publish& publish, const RecordStamp& stamp, std::string& out);

}  // namespace sluice::front
