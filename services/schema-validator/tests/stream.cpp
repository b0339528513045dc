#include "stream.h"

#include <array>
#include <stdexcept>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/topics.h>
#include <sluice/schema/v1/schema_change.pb.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

namespace sluice::validator::testing {
namespace {

using namespace std::chrono_literals;

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}
void must(Result<> result) {
  if (!result) throw std::runtime_error(result.error().message());
}

constexpr std::int32_t kPartitions = 12;

}  // namespace

Stream::Stream() {
  config_.brokers = sluice::testing::require_env("SLUICE_TEST_KAFKA_BROKERS");
  config_.name_space = surroundings_.kafka_namespace();
  admin_ = must(kafka::open_topic_admin(config_, log_));
  using namespace kafka::topics;
  constexpr std::array kTopics{kTelemetryRaw, kTelemetryValid, kTelemetryRejected, kValidatorState,
                               kControlSchemas};
  must(admin_->ensure(kTopics, 30s));
  sender_ = std::make_unique<kafka::Sender>(
      must(kafka::open_producer(config_, {}, clock_, random_, log_, metrics_)), clock_);
  reader_ = must(kafka::open_partition_reader(config_, {}, clock_, log_));
}

Environment Stream::settings(const Environment& more) const {
  Environment settings = more;
  settings.merge(Environment{
      {"SLUICE_HTTP_LISTEN", "127.0.0.1:0"},
      {"SLUICE_DEVICE_REGISTRY_ADDRESS", "127.0.0.1:1"},  // nobody
      {"SLUICE_KAFKA_CONSUMER_COMMIT_INTERVAL", "100ms"},
      {"SLUICE_KAFKA_CONSUMER_SESSION_TIMEOUT", "6s"},
      {"SLUICE_KAFKA_CONSUMER_FETCH_WAIT", "20ms"},
      {"SLUICE_STATE_INTERVAL", "200ms"},
      {"SLUICE_STATE_FILTER", "20000"},
  });
  settings.merge(surroundings_.settings());
  settings.merge(surroundings_.settings_of_database(database_));
  Environment identity = surroundings_.settings_of_grpc("schema-validator");
  identity.erase("SLUICE_GRPC_LISTEN");
  settings.merge(identity);
  return settings;
}

void Stream::publish_schema(const std::string& schema_id, const std::string& version,
                            const std::string& document) {
  schema::v1::SchemaChange change;
  change.set_tenant("t");
  change.set_schema_id(schema_id);
  change.set_version(version);
  change.set_kind(schema::v1::SCHEMA_KIND_METRICS_TABLE);
  change.set_document(document);
  change.set_registered_at_ms(clock_.wall().time_since_epoch().count());
  change.set_revision(change.registered_at_ms());
  const std::string key = "t/" + schema_id + "/" + version;
  const std::string value = change.SerializeAsString();
  const kafka::Record record{
      .topic = kafka::topics::kControlSchemas.name, .key = key, .value = value};
  must(sender_->send_and_wait({&record, 1}, 30s));
}

RawMessage Stream::message(const std::string& device, const std::string& payload,
                           const std::string& content_type) {
  const auto id = ids_.next(clock_.wall());
  RawMessage message;
  message.set_message_id(id.data(), id.size());
  message.set_tenant("t");
  message.set_device(device);
  message.set_device_type("meter");
  message.set_channel(telemetry::v1::CHANNEL_TELEMETRY);
  message.set_protocol(telemetry::v1::PROTOCOL_MQTT);
  message.set_qos(1);
  message.set_content_type(content_type);
  message.set_payload(payload);
  message.set_received_at_ms(clock_.wall().time_since_epoch().count());
  return message;
}

std::string Stream::send(const RawMessage& message) {
  send_all({message});
  return message.message_id();
}

void Stream::send_all(const std::vector<RawMessage>& messages) { send(messages, std::nullopt); }

void Stream::send_to(std::int32_t partition, const std::vector<RawMessage>& messages) {
  send(messages, partition);
}

void Stream::send(const std::vector<RawMessage>& messages, std::optional<std::int32_t> partition) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const RawMessage& message : messages) {
    texts.emplace_back(message.tenant() + "/" + message.device(), message.SerializeAsString());
  }
  std::vector<kafka::Record> records;
  for (const auto& [key, value] : texts) {
    records.push_back({.topic = kafka::topics::kTelemetryRaw.name, .key = key, .value = value});
    if (partition) records.back().partition = kafka::Partition(*partition);
  }
  must(sender_->send_and_wait(records, 60s));
}

template <typename Message>
std::vector<Message> Stream::all(std::string_view topic) {
  std::vector<kafka::Stretch> stretches;
  for (std::int32_t i = 0; i < kPartitions; ++i) {
    stretches.push_back({.partition = {std::string(topic), kafka::Partition(i)}});
  }
  std::vector<Message> messages;
  must(reader_->read(stretches, 60s, [&](const kafka::RecordView& record) {
    Message message;
    if (!message.ParseFromString(std::string(record.value.value_or("")))) {
      throw std::runtime_error("a record that cannot be read");
    }
    messages.push_back(std::move(message));
    return true;
  }));
  return messages;
}

std::vector<ValidMessage> Stream::valid() {
  return all<ValidMessage>(kafka::topics::kTelemetryValid.name);
}
std::vector<RejectedMessage> Stream::rejected() {
  return all<RejectedMessage>(kafka::topics::kTelemetryRejected.name);
}

std::map<std::string, std::vector<ValidMessage>> Stream::valid_by_id() {
  std::map<std::string, std::vector<ValidMessage>> found;
  for (ValidMessage& message : valid()) found[message.message_id()].push_back(std::move(message));
  return found;
}
std::map<std::string, std::vector<RejectedMessage>> Stream::rejected_by_id() {
  std::map<std::string, std::vector<RejectedMessage>> found;
  for (RejectedMessage& message : rejected()) {
    found[message.raw().message_id()].push_back(std::move(message));
  }
  return found;
}

std::int64_t Stream::lag() {
  const auto lags =
      must(admin_->group_lag("schema-validator", kafka::topics::kTelemetryRaw.name, 30s));
  std::int64_t total = 0;
  for (const kafka::PartitionLag& lag : lags) total += lag.records;
  return total;
}

bool Stream::wait_until_done() {
  return sluice::testing::eventually([this] { return lag() == 0; }, 60s);
}

}  // namespace sluice::validator::testing
