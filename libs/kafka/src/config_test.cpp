#include "rd_client.h"

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <sluice/kafka/producer.h>
#include <sluice/kafka/topics.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>
#include <sluice/testing/temp_dir.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> faulty_settings(std::string_view yaml) {
  Config config;
  ProducerConfig producer;
  ConsumerConfig consumer;
  Settings settings;
  config.declare(settings);
  producer.declare(settings);
  consumer.declare(settings);
  std::vector<std::string> fields;
  if (const auto loaded = settings.load(yaml, {}); !loaded) {
    for (const FieldFault& fault : loaded.error().faults()) fields.push_back(fault.field);
  }
  return fields;
}

TEST(KafkaConfig, AcceptsItsDefaults) { EXPECT_THAT(faulty_settings(""), IsEmpty()); }

TEST(KafkaConfig, WantsACertificateWithItsKeyAndACa) {
  EXPECT_THAT(faulty_settings("kafka_tls_cert_file: /c.pem\nkafka_tls_ca_file: /ca.pem\n"),
              ElementsAre(HasSubstr("kafka_tls_key_file")));
  EXPECT_THAT(faulty_settings("kafka_tls_cert_file: /c.pem\nkafka_tls_key_file: /k.pem\n"),
              ElementsAre(HasSubstr("kafka_tls_ca_file")));
}

TEST(KafkaConfig, WantsUserAndPasswordForSaslAndTlsForPlain) {
  EXPECT_THAT(faulty_settings("kafka_sasl_mechanism: SCRAM-SHA-512\n"),
              ElementsAre(HasSubstr("kafka_sasl_username"), HasSubstr("kafka_sasl_password_file")));
  testing::TempDir folder;
  const std::string file = folder.write("password", "secret\n").string();
  EXPECT_THAT(
      faulty_settings(
          "kafka_sasl_mechanism: PLAIN\nkafka_sasl_username: u\nkafka_sasl_password_file: " + file +
          "\n"),
      ElementsAre(HasSubstr("kafka_sasl_mechanism")));
}

TEST(KafkaConfig, WantsLimitsThatFitEachOther) {
  EXPECT_THAT(
      faulty_settings("kafka_producer_max_record: 64MiB\nkafka_producer_max_in_flight: 1MiB\n"),
      ElementsAre(HasSubstr("kafka_producer_max_record")));
  EXPECT_THAT(faulty_settings(
                  "kafka_consumer_session_timeout: 1m\nkafka_consumer_max_poll_interval: 30s\n"),
              ElementsAre(HasSubstr("kafka_consumer_session_timeout")));
}

std::string value_in(const rd::Conf& conf, const char* name) {
  std::array<char, 256> value{};
  std::size_t size = value.size();
  EXPECT_EQ(rd_kafka_conf_get(conf.get(), name, value.data(), &size), RD_KAFKA_CONF_OK) << name;
  return value.data();
}

class MakeConf : public ::testing::Test {
 protected:
  rd::Conf make() {
    auto conf = rd::make_conf(config_, opaque_, {});
    EXPECT_TRUE(conf) << conf.error().message();
    return *std::move(conf);
  }

  testing::SimClock clock_;
  std::shared_ptr<testing::CapturedLog> log_ = std::make_shared<testing::CapturedLog>();
  Logger logger_ = log_->logger("test", clock_);
  rd::Opaque opaque_{&logger_, nullptr};
  Config config_{.brokers = "127.0.0.1:1"};
};

TEST_F(MakeConf, IsPlaintextWithoutACa) {
  EXPECT_EQ(value_in(make(), "security.protocol"), "plaintext");
}

TEST_F(MakeConf, UsesTlsWithACaAndOurCertificate) {
  config_.tls_ca_file = "/ca.pem";
  config_.tls_cert_file = "/cert.pem";
  config_.tls_key_file = "/key.pem";
  const auto conf = make();
  EXPECT_EQ(value_in(conf, "security.protocol"), "ssl");
  EXPECT_EQ(value_in(conf, "ssl.ca.location"), "/ca.pem");
  EXPECT_EQ(value_in(conf, "ssl.certificate.location"), "/cert.pem");
  EXPECT_EQ(value_in(conf, "ssl.key.location"), "/key.pem");
  // The broker's name is checked against its certificate.
  EXPECT_EQ(value_in(conf, "ssl.endpoint.identification.algorithm"), "https");
  EXPECT_EQ(value_in(conf, "enable.ssl.certificate.verification"), "true");
}

TEST_F(MakeConf, SignsInOverTlsWhereBothAreGiven) {
  config_.tls_ca_file = "/ca.pem";
  config_.sasl_mechanism = "SCRAM-SHA-512";
  config_.sasl_username = "writer";
  config_.sasl_password = Secret("hidden");
  const auto conf = make();
  EXPECT_EQ(value_in(conf, "security.protocol"), "sasl_ssl");
  EXPECT_EQ(value_in(conf, "sasl.mechanisms"), "SCRAM-SHA-512");
  EXPECT_EQ(value_in(conf, "sasl.username"), "writer");
}

TEST_F(MakeConf, AProducerIsRefusedWhenItsCaCannotBeRead) {
  config_.tls_ca_file = "/nowhere/ca.pem";
  Registry registry;
  testing::SimRandom random(1);
  const auto opened = open_producer(config_, {}, clock_, random, logger_, registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kInvalidArgument);
}

TEST(CodeOf, TellsWhatMayBeTriedAgain) {
  EXPECT_TRUE(is_retryable(rd::code_of(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)));
  EXPECT_TRUE(is_retryable(rd::code_of(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS)));
  EXPECT_TRUE(is_retryable(rd::code_of(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)));
  EXPECT_FALSE(is_retryable(rd::code_of(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)));
  EXPECT_FALSE(is_retryable(rd::code_of(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)));
}

/// "| `a` | `b` | c | ..." without its quotes: a, b, c.
std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  for (std::size_t at = row.find("| "); at != std::string::npos;) {
    const std::size_t end = row.find(" |", at + 2);
    if (end == std::string::npos) break;
    std::string cell = row.substr(at + 2, end - at - 2);
    std::erase(cell, '`');
    cells.push_back(std::move(cell));
    at = end + 1;
  }
  return cells;
}

TEST(Topics, AreTheOnesOfTheTableInTheReadmeOfProtoWithTheSameMessagesAndKeys) {
  std::ifstream readme(SLUICE_PROTO_README);
  ASSERT_TRUE(readme);
  std::vector<std::vector<std::string>> written;
  for (std::string line; std::getline(readme, line);) {
    if (!line.starts_with("| `")) continue;
    auto cells = cells_of(line);
    ASSERT_GE(cells.size(), 3U) << line;
    cells.resize(3);
    written.push_back(std::move(cells));
  }
  std::vector<std::vector<std::string>> declared;
  for (const TopicSpec& topic : topics::kAll) {
    declared.push_back(
        {std::string(topic.name), std::string(topic.message), std::string(topic.key)});
  }
  EXPECT_THAT(written, ::testing::UnorderedElementsAreArray(declared));
}

TEST(Topics, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const TopicSpec& topic : topics::kAll) names.insert(topic.name);
  EXPECT_EQ(names.size(), topics::kAll.size());
}

}  // namespace
}  // namespace sluice::kafka
