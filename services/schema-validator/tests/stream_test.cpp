// What becomes of messages, as the topics around the service show it.
#include "stream.h"

#include <algorithm>
#include <csignal>
#include <format>
#include <thread>

#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

namespace sluice::validator::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

constexpr const char* kMeter = R"({"metrics": [
  {"name": "temperature", "type": "double", "unit": "Cel", "min": -40, "max": 125},
  {"name": "count", "type": "int64"}]})";

std::string gzip(const std::string& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string in = plain;
  std::string out(deflateBound(&stream, in.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string sample(std::int64_t ts, std::int64_t sequence, double temperature = 21.5) {
  return std::format(R"({{"ts": {}, "seq": {}, "metrics": {{"temperature": {}}}}})", ts, sequence,
                     temperature);
}

TEST(StreamTest, EveryFormatBecomesReadings) {
  Stream stream;
  stream.publish_schema("meter", "1.0", kMeter);
  const auto validator = stream.start();
  const auto with_schema = [&](RawMessage message) {
    message.set_schema_id("meter");
    return message;
  };
  // {"metrics": {"temperature": 21.5, "count": 3}}
  const std::string message_pack(
      "\x81\xa7metrics\x82\xabtemperature\xcb\x40\x35\x80\x00\x00\x00\x00\x00\xa5"
      "count\x03",
      38);
  const std::string cbor(
      "\xa1\x67metrics\xa2\x6btemperature\xfb\x40\x35\x80\x00\x00\x00\x00\x00\x65"
      "count\x03",
      38);
  const std::string json = R"({"metrics": {"temperature": 21.5, "count": 3}})";
  RawMessage compressed = with_schema(stream.message("d4", gzip(json)));
  compressed.set_content_encoding("gzip");
  const std::vector<RawMessage> messages{
      with_schema(stream.message("d1", json)),
      with_schema(stream.message("d2", message_pack, "application/msgpack")),
      with_schema(stream.message("d3", cbor, "application/cbor")), compressed,
      with_schema(stream.message("d5",
                                 R"([{"n": "temperature", "v": 21.5}, {"n": "count", "v": 3}])",
                                 "application/senml+json"))};
  stream.send_all(messages);
  ASSERT_TRUE(stream.wait_until_done()) << validator->process().output();
  const auto valid = stream.valid_by_id();
  for (const RawMessage& message : messages) {
    ASSERT_TRUE(valid.contains(message.message_id()))
        << message.device() << " "
        << (stream.rejected().empty() ? "" : stream.rejected()[0].DebugString());
    const ValidMessage& got = valid.at(message.message_id()).front();
    EXPECT_EQ(got.schema_id(), "meter");
    EXPECT_EQ(got.schema_version(), "1.0");
    ASSERT_EQ(got.readings_size(), 2) << got.DebugString();
    EXPECT_EQ(got.readings(0).metric(), "temperature");
    EXPECT_EQ(got.readings(0).double_value(), 21.5);
    EXPECT_EQ(got.readings(0).unit(), "Cel");
    EXPECT_EQ(got.readings(1).int64_value(), 3);
  }
}

TEST(StreamTest, AMixedBatchIsExplainedWithinBoundedMemory) {
  Stream stream;
  stream.publish_schema("meter", "1.0", kMeter);
  const auto validator = stream.start();
  const auto make = [&](const std::string& payload, const std::string& encoding = "") {
    RawMessage message = stream.message("d", payload);
    message.set_schema_id("meter");
    message.set_content_encoding(encoding);
    return message;
  };
  const std::string bomb = gzip(std::string(64 << 20, ' '));
  std::string binary(1000, '\0');
  for (std::size_t i = 0; i < binary.size(); ++i) binary[i] = static_cast<char>(i * 37 % 256);
  std::string deep = "1";
  for (int i = 0; i < 100; ++i) deep = R"({"a": )" + deep + "}";
  std::string too_deep;  // the first level that is one too many, of max_payload_depth
  for (int i = 0; i < 32; ++i) too_deep += "/a";
  struct Case {
    RawMessage message;
    std::string reason;
    std::string pointer;
  };
  RawMessage unknown = make(R"({"metrics": {"temperature": 1}})");
  unknown.set_schema_id("nobody");
  std::vector<Case> cases{
      {make(R"({"metrics": {"temperature": 20}})"), "", ""},
      {make(R"({"metrics": {"temperature": 500}})"), "schema_violation", "/metrics/temperature"},
      {make(R"([{"metrics": {"temperature": 1}}, {"metrics": {"temperature": "hot"}}])"),
       "schema_violation", "/1/metrics/temperature"},
      {make(deep), "payload_too_deep", too_deep},
      {make(R"({"metrics": {"temperature": 2)"), "malformed_payload", ""},
      {make(binary), "malformed_payload", ""},
      {make(bomb, "gzip"), "payload_too_large", ""},
      {make("no gzip", "gzip"), "decompression_failed", ""},
      {make("x", "brotli"), "unsupported_encoding", ""},
      {unknown, "unknown_schema", ""},
  };
  std::vector<RawMessage> messages;
  for (int round = 0; round < 20; ++round) {
    for (Case& each : cases) {
      const auto fresh = stream.message("d", "");
      each.message.set_message_id(fresh.message_id());
      messages.push_back(each.message);
    }
  }
  const std::int64_t before_kib = validator->resident_kib();
  stream.send_all(messages);
  ASSERT_TRUE(stream.wait_until_done()) << validator->process().output();
  // Generous: buffers of 1 MiB a worker, and what Kafka's client holds of 20 bombs.
  EXPECT_LT(validator->resident_kib() - before_kib, 200 * 1024);
  const auto valid = stream.valid_by_id();
  const auto rejected = stream.rejected_by_id();
  EXPECT_EQ(valid.size(), 20U);
  EXPECT_EQ(rejected.size(), 20U * (cases.size() - 1));
  for (const Case& each : cases) {
    if (each.reason.empty()) {
      EXPECT_TRUE(valid.contains(each.message.message_id()));
      continue;
    }
    ASSERT_TRUE(rejected.contains(each.message.message_id())) << each.reason;
    const RejectedMessage& got = rejected.at(each.message.message_id()).front();
    EXPECT_EQ(got.reason(), each.reason) << got.detail();
    EXPECT_EQ(got.pointer(), each.pointer) << got.detail();
    EXPECT_FALSE(got.detail().empty());
    EXPECT_EQ(got.raw().payload(), each.message.payload());
    EXPECT_GE(got.source_offset(), 0);
  }
}

TEST(StreamTest, KilledAtRandomPointsNothingIsLostAndNothingIsBothValidAndRejected) {
  Stream stream;
  stream.publish_schema("meter", "1.0", kMeter);
  auto validator = stream.start();
  std::set<std::string> sent;
  std::int64_t sequence = 0;
  for (int round = 0; round < 4; ++round) {
    std::vector<RawMessage> messages;
    for (int i = 0; i < 4'000; ++i) {
      const bool is_bad = i % 7 == 0;
      RawMessage message = stream.message(
          "d" + std::to_string(i % 50),
          sample(stream.message("x", "").received_at_ms(), ++sequence, is_bad ? 999 : 20));
      message.set_schema_id("meter");
      sent.insert(message.message_id());
      messages.push_back(std::move(message));
    }
    stream.send_all(messages);
    // Somewhere in the middle of these, wherever it happens to be.
    ASSERT_TRUE(eventually([&] {
      return validator->metric("sluice_validator_messages_total") > 500.0 * (round + 1);
    }));
    validator->kill();
    validator = stream.start();
  }
  ASSERT_TRUE(stream.wait_until_done()) << validator->process().output();
  const auto valid = stream.valid_by_id();
  const auto rejected = stream.rejected_by_id();
  std::size_t lost = 0;
  std::size_t both = 0;
  for (const std::string& id : sent) {
    const bool is_valid = valid.contains(id);
    const bool is_rejected = rejected.contains(id);
    lost += !is_valid && !is_rejected ? 1 : 0;
    both += is_valid && is_rejected ? 1 : 0;
  }
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(both, 0U);
  EXPECT_EQ(valid.size() + rejected.size(), sent.size());
}

TEST(StreamTest, AReplayedHourIsSuppressedAcrossARestart) {
  Stream stream;
  const auto make = [&](int i, std::int64_t at) {
    return stream.message("d", sample(at + i * 10'000, i + 1, 20 + i % 5));
  };
  const std::int64_t hour_ago = stream.message("x", "").received_at_ms() - 3'600'000;
  {
    const auto validator = stream.start();
    for (int i = 0; i < 360; ++i) stream.send(make(i, hour_ago));
    ASSERT_TRUE(stream.wait_until_done());
    EXPECT_EQ(stream.valid().size(), 360U);
    validator->process().stop();
  }
  const auto validator = stream.start();
  std::vector<RawMessage> again;
  for (int i = 0; i < 360; ++i) {
    again.push_back(make(i, hour_ago));
    again.back().set_buffered(true);
  }
  again.push_back(make(360, hour_ago));  // and one that is new
  stream.send_all(again);
  ASSERT_TRUE(stream.wait_until_done()) << validator->process().output();
  EXPECT_EQ(stream.valid().size(), 361U);
  EXPECT_EQ(validator->metric("sluice_validator_replayed_samples_total"), 360);
}

TEST(StreamTest, ANewVersionOfASchemaIsInUseSoon) {
  Stream stream;
  stream.publish_schema("meter", "1.0", kMeter);
  const auto validator = stream.start();
  const std::string payload = R"({"metrics": {"temperature": 20, "pressure": 3}})";
  std::string wider = kMeter;
  wider.replace(wider.rfind("]}"), 2, R"(, {"name": "pressure", "type": "double"}]})");
  stream.publish_schema("meter", "1.1", wider);
  ASSERT_TRUE(
      eventually([&] { return validator->metric("sluice_validator_schema_versions") == 2; }));
  RawMessage message = stream.message("d", payload);
  message.set_schema_id("meter:1");
  const std::string id = stream.send(message);
  ASSERT_TRUE(stream.wait_until_done());
  ASSERT_TRUE(stream.valid_by_id().contains(id)) << stream.rejected()[0].DebugString();
  EXPECT_EQ(stream.valid_by_id().at(id).front().schema_version(), "1.1");
}

TEST(StreamTest, AQuietTenantIsNotBehindTheWholeOfAFlood) {
  Stream stream;
  std::vector<RawMessage> messages;
  std::string quiet;
  for (int i = 0; i < 900; ++i) {
    messages.push_back(stream.message("d" + std::to_string(i % 10), R"({"temperature": 20})"));
    if (i != 600) {
      messages.back().set_tenant("flood");
    } else {
      quiet = messages.back().message_id();
    }
  }
  stream.send_to(5, messages);
  const auto validator = stream.start();
  ASSERT_TRUE(stream.wait_until_done()) << validator->process().output();
  const auto valid = stream.valid();
  ASSERT_EQ(valid.size(), messages.size());
  const auto found = std::ranges::find(valid, quiet, &ValidMessage::message_id);
  // Whatever Kafka handed over at once, in it the flood had no more than its turns before.
  EXPECT_LT(found - valid.begin(), 550);
  std::map<std::string, std::int64_t> last;
  for (const ValidMessage& message : valid) {
    std::int64_t& before = last[message.tenant() + "/" + message.device()];
    EXPECT_LE(before, message.received_at_ms()) << "a device's order";
    before = message.received_at_ms();
  }
}

TEST(StreamTest, TwoWorkersShareThePartitionsAndKeepTheStates) {
  Stream stream;
  auto first = stream.start();
  const std::int64_t now = stream.message("x", "").received_at_ms();
  const auto make = [&](int device, int i) {
    return stream.message("d" + std::to_string(device), sample(now + i, i + 1));
  };
  std::vector<RawMessage> messages;
  for (int i = 0; i < 200; ++i) messages.push_back(make(i % 20, i / 20));
  stream.send_all(messages);
  ASSERT_TRUE(stream.wait_until_done());
  const auto second = stream.start();
  ASSERT_TRUE(eventually([&] {
    return second->metric("sluice_kafka_consumer_partitions") > 1 &&
           second->metric("sluice_validator_states_restored_total") > 0;
  }));
  std::vector<RawMessage> again;
  for (int i = 0; i < 200; ++i) again.push_back(make(i % 20, i / 20));
  stream.send_all(again);
  ASSERT_TRUE(stream.wait_until_done());
  EXPECT_EQ(stream.valid().size(), 200U);
}

}  // namespace
}  // namespace sluice::validator::testing
