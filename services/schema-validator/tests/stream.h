#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/ingest/message_ids.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/sender.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/platform/service_process.h>
#include <sluice/platform/surroundings.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/telemetry/v1/raw_message.pb.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>
#include <sluice/telemetry/v1/valid_message.pb.h>
#include <sluice/testing/captured_log.h>

namespace sluice::validator::testing {

using platform::Environment;
using telemetry::v1::RawMessage;
using telemetry::v1::RejectedMessage;
using telemetry::v1::ValidMessage;

/// A running validator. Ends with the object.
class Validator final : public platform::ServiceProcess {
 public:
  explicit Validator(Environment settings)
      : ServiceProcess("schema-validator", std::move(settings)) {}
};

/// Topics and a database that nobody else uses, and the test's own hands on both ends of the
/// validator: what devices would have sent, and what became of it.
class Stream {
 public:
  Stream();

  Environment settings(const Environment& more = {}) const;
  std::unique_ptr<Validator> start(const Environment& more = {}) const {
    return std::make_unique<Validator>(settings(more));
  }
  const platform::Surroundings& surroundings() const { return surroundings_; }

  /// Registers a metrics table by its record, as the service itself would publish it.
  void publish_schema(const std::string& schema_id, const std::string& version,
                      const std::string& document);

  /// A message of a device of the tenant "t", with a new id.
  RawMessage message(const std::string& device, const std::string& payload,
                     const std::string& content_type = "application/json");
  /// Gives its id.
  std::string send(const RawMessage& message);
  void send_all(const std::vector<RawMessage>& messages);
  /// The same, all into one partition.
  void send_to(std::int32_t partition, const std::vector<RawMessage>& messages);

  /// All that a topic holds now, partition by partition.
  std::vector<ValidMessage> valid();
  std::vector<RejectedMessage> rejected();
  /// By the message's id, of what the topics hold now.
  std::map<std::string, std::vector<ValidMessage>> valid_by_id();
  std::map<std::string, std::vector<RejectedMessage>> rejected_by_id();

  /// Records of telemetry.raw that are not committed yet.
  std::int64_t lag();
  bool wait_until_done();

 private:
  void send(const std::vector<RawMessage>& messages, std::optional<std::int32_t> partition);
  template <typename Message>
  std::vector<Message> all(std::string_view topic);

  platform::Surroundings surroundings_;
  postgres::testing::TestDatabase database_;
  SystemClock clock_;
  SystemRandom random_;
  Registry metrics_;
  std::shared_ptr<sluice::testing::CapturedLog> captured_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = captured_->logger("stream", clock_);
  kafka::Config config_;
  std::unique_ptr<kafka::TopicAdmin> admin_;
  std::unique_ptr<kafka::Sender> sender_;
  std::unique_ptr<kafka::PartitionReader> reader_;
  ingest::MessageIds ids_{random_};
};

}  // namespace sluice::validator::testing
