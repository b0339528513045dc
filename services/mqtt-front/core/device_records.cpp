#include "core/device_records.h"

#include <sluice/shadow/v1/shadow_request.pb.h>

namespace sluice::front {
namespace {

using ingest::TopicKind;

shadow::v1::ShadowOperation operation_of(const ingest::TopicInfo& info) {
  if (info.kind == TopicKind::kCommandAnswer) return shadow::v1::SHADOW_OPERATION_COMMAND_ANSWER;
  if (info.kind == TopicKind::kJobs) return shadow::v1::SHADOW_OPERATION_JOBS;
  if (info.action == "get") return shadow::v1::SHADOW_OPERATION_GET;
  if (info.action == "update") return shadow::v1::SHADOW_OPERATION_UPDATE;
  return shadow::v1::SHADOW_OPERATION_DELETE;
}

}  // namespace

bool is_ingested(TopicKind kind) {
  return kind == TopicKind::kTelemetry || kind == TopicKind::kEvent;
}

bool is_request(TopicKind kind) {
  return kind == TopicKind::kShadowRequest || kind == TopicKind::kCommandAnswer ||
         kind == TopicKind::kJobs;
}

ingest::EnvelopePrefix envelope_prefix(const RecordSource& source, const ingest::TopicInfo& info,
                                       std::string_view topic) {
  return ingest::EnvelopePrefix({.tenant = source.names.tenant,
                                 .device = source.names.device,
                                 .fleet = source.names.fleet,
                                 .device_type = source.names.device_class,
                                 .region = source.region,
                                 .schema_id = source.schema_id,
                                 .stream = info.name,
                                 .topic = topic,
                                 .channel = info.kind == TopicKind::kTelemetry
                                                ? ingest::Channel::kTelemetry
                                                : ingest::Channel::kEvent,
                                 .protocol = ingest::Protocol::kMqtt});
}

void append_raw_message(const ingest::EnvelopePrefix& prefix, const mqtt::Publish& publish,
                        const RecordStamp& stamp, std::string& out) {
  ingest::EnvelopeFields fields{.message_id = stamp.message_id,
                                .qos = static_cast<std::uint8_t>(publish.qos),
                                .received_at_ms = stamp.received_at.time_since_epoch().count(),
                                .payload = publish.payload};
  const mqtt::MessageProperties& properties = publish.properties;
  if (!properties.content_type.empty()) {
    ingest::read_content_type(properties.content_type, fields.declared);
  }
  properties.user.for_each([&](std::string_view name, std::string_view value) {
    ingest::read_declared(name, value, fields.declared);
  });
  ingest::append_envelope(prefix, fields, out);
}

void append_request(const ingest::DeviceNames& names, const ingest::TopicInfo& info,
                    const mqtt::Publish& publish, const RecordStamp& stamp, std::string& out) {
  shadow::v1::ShadowRequest request;
  request.set_tenant(std::string(names.tenant));
  request.set_device(std::string(names.device));
  if (info.kind == TopicKind::kShadowRequest) request.set_shadow(std::string(info.name));
  request.set_operation(operation_of(info));
  request.set_document(publish.payload.data(), publish.payload.size());
  request.set_received_at_ms(stamp.received_at.time_since_epoch().count());
  request.set_message_id(stamp.message_id.data(), stamp.message_id.size());
  request.set_topic(std::string(publish.topic));
  request.AppendToString(&out);
}

}  // namespace sluice::front
