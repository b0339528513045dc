#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <sluice/ingest/envelope.h>
#include <sluice/ingest/raw_message.h>
#include <sluice/ingest/valid_message.h>
#include <sluice/telemetry/v1/raw_message.pb.h>
#include <sluice/telemetry/v1/valid_message.pb.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::ingest {
namespace {

using telemetry::v1::RawMessage;
using telemetry::v1::ValidMessage;

class Inputs {
 public:
  explicit Inputs(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return random_.next() % bound; }
  bool coin() { return below(2) == 0; }
  /// Small and large ones, zero and all ones.
  std::uint64_t number() {
    return below(8) == 0 ? (coin() ? 0 : ~std::uint64_t{0}) : random_.next() >> below(64);
  }
  std::string text() {
    std::string made;
    for (std::uint64_t size = below(40); size > 0; --size) {
      static constexpr std::string_view kParts[] = {"a", "é", "€", "/", "\U0001F321", "0"};
      made += kParts[below(std::size(kParts))];
    }
    return made;
  }
  std::string bytes() {
    std::string made(below(300), '\0');
    for (char& byte : made) byte = static_cast<char>(below(256));
    return made;
  }

 private:
  testing::SimRandom random_;
};

void fill(Inputs& in, RawMessage& message) {
  message.set_message_id(in.bytes());
  message.set_tenant(in.text());
  message.set_device(in.text());
  message.set_fleet(in.text());
  message.set_device_type(in.text());
  message.set_region(in.text());
  message.set_channel(static_cast<telemetry::v1::Channel>(in.below(3)));
  message.set_stream(in.text());
  message.set_topic(in.text());
  message.set_qos(static_cast<std::uint32_t>(in.number()));
  message.set_protocol(static_cast<telemetry::v1::Protocol>(in.below(4)));
  message.set_content_type(in.text());
  message.set_content_encoding(in.text());
  message.set_payload(in.bytes());
  message.set_received_at_ms(static_cast<std::int64_t>(in.number()));
  if (in.coin()) message.set_sequence(in.number());
  message.set_buffered(in.coin());
  message.set_traceparent(in.text());
  message.set_schema_id(in.text());
  message.set_redrive_id(in.text());
}

TEST(RawMessageReader, ReadsWhatTheGeneratedClassWrites) {
  Inputs in(1);
  for (int round = 0; round < 2000; ++round) {
    RawMessage message;
    fill(in, message);
    const std::string bytes = message.SerializeAsString();
    const auto read = read_raw_message(bytes);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->message_id, message.message_id());
    EXPECT_EQ(read->tenant, message.tenant());
    EXPECT_EQ(read->device, message.device());
    EXPECT_EQ(read->fleet, message.fleet());
    EXPECT_EQ(read->device_type, message.device_type());
    EXPECT_EQ(read->region, message.region());
    EXPECT_EQ(read->channel, static_cast<std::uint32_t>(message.channel()));
    EXPECT_EQ(read->stream, message.stream());
    EXPECT_EQ(read->topic, message.topic());
    EXPECT_EQ(read->qos, message.qos());
    EXPECT_EQ(read->protocol, static_cast<std::uint32_t>(message.protocol()));
    EXPECT_EQ(read->content_type, message.content_type());
    EXPECT_EQ(read->content_encoding, message.content_encoding());
    EXPECT_EQ(read->payload, message.payload());
    EXPECT_EQ(read->received_at_ms, message.received_at_ms());
    EXPECT_EQ(read->sequence.has_value(), message.has_sequence());
    EXPECT_EQ(read->sequence.value_or(0), message.sequence());
    EXPECT_EQ(read->buffered, message.buffered());
    EXPECT_EQ(read->traceparent, message.traceparent());
    EXPECT_EQ(read->schema_id, message.schema_id());
    EXPECT_EQ(read->redrive_id, message.redrive_id());
  }
}

TEST(RawMessageReader, RefusesEveryTruncation) {
  Inputs in(2);
  RawMessage message;
  fill(in, message);
  const std::string bytes = message.SerializeAsString();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    // Where a field ends the bytes are a message again; anywhere else they are none.
    EXPECT_EQ(read_raw_message(cut).has_value(), RawMessage().ParseFromString(cut)) << size;
  }
}

TEST(RawMessageReader, AgreesWithTheGeneratedClassAboutDamagedBytes) {
  Inputs in(3);
  for (int round = 0; round < 3000; ++round) {
    RawMessage message;
    fill(in, message);
    std::string bytes = message.SerializeAsString();
    for (std::uint64_t hits = 1 + in.below(3); hits > 0 && !bytes.empty(); --hits) {
      bytes[in.below(bytes.size())] = static_cast<char>(in.below(256));
    }
    // Ours is the stricter one: it knows no groups and believes no wrong wire type.
    if (!read_raw_message(bytes)) continue;
    EXPECT_TRUE(RawMessage().ParseFromString(bytes));
  }
}

TEST(RawMessageReader, RefusesTextThatIsNotUtf8AndWrongWireTypes) {
  EXPECT_FALSE(read_raw_message(std::string_view("\x12\x01\xFF", 3)).has_value());
  EXPECT_FALSE(read_raw_message(std::string_view("\x10\x01", 2)).has_value());
  EXPECT_FALSE(read_raw_message(std::string_view("\x7A\x00", 2)).has_value());
  EXPECT_FALSE(read_raw_message(std::string_view("\x70\x00", 2)).has_value());
}

TEST(RawMessageReader, SkipsFieldsOfLaterVersions) {
  // Field 100: a varint, 64 bits, bytes, 32 bits; then the tenant.
  const std::string bytes(
      "\xA0\x06\x01\xA1\x06"
      "12345678\xA2\x06\x02hi\xA5\x06"
      "1234\x12\x01t",
      27);
  const auto read = read_raw_message(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->tenant, "t");
}

struct Made {
  std::vector<std::string> texts{};
  ValidFields fields{};
  std::vector<ValidReading> readings{};
};

void fill(Inputs& in, Made& made) {
  made.texts.reserve(2000);  // never regrown: views point into it
  const auto text = [&] { return std::string_view(made.texts.emplace_back(in.text())); };
  const auto quality = [&] { return static_cast<QualityBits>(in.below(32)) << 1U; };
  made.fields = {.message_id = made.texts.emplace_back(in.bytes()),
                 .tenant = text(),
                 .device = text(),
                 .fleet = text(),
                 .device_type = text(),
                 .region = text(),
                 .channel = static_cast<std::uint32_t>(in.below(3)),
                 .stream = text(),
                 .protocol = static_cast<std::uint32_t>(in.below(4)),
                 .schema_id = text(),
                 .schema_version = text(),
                 .event_time_ms = static_cast<std::int64_t>(in.number()),
                 .received_at_ms = static_cast<std::int64_t>(in.number()),
                 .buffered = in.coin(),
                 .quality = quality(),
                 .traceparent = text(),
                 .part = static_cast<std::uint32_t>(in.number())};
  if (in.coin()) made.fields.device_time_ms = static_cast<std::int64_t>(in.number());
  if (in.coin()) made.fields.sequence = in.number();
  for (std::uint64_t left = in.below(20); left > 0; --left) {
    ValidReading reading{.metric = text(), .unit = text(), .quality = quality()};
    reading.type = static_cast<ReadingType>(in.below(6));
    switch (reading.type) {
      case ReadingType::kDouble:
        reading.number = std::bit_cast<double>(in.number());
        break;
      case ReadingType::kInt64:
        reading.integer = static_cast<std::int64_t>(in.number());
        break;
      case ReadingType::kBool:
        reading.integer = in.coin() ? 1 : 0;
        break;
      case ReadingType::kString:
        reading.text = text();
        break;
      case ReadingType::kBytes:
        reading.text = made.texts.emplace_back(in.bytes());
        break;
      case ReadingType::kNone:
        break;
    }
    made.readings.push_back(reading);
  }
}

QualityBits bits_of(const google::protobuf::RepeatedField<int>& remarks) {
  QualityBits bits = 0;
  for (const int remark : remarks) bits |= QualityBits{1} << static_cast<unsigned>(remark);
  return bits;
}

void expect_same(const ValidReading& reading, const telemetry::v1::Reading& expected) {
  EXPECT_EQ(reading.metric, expected.metric());
  EXPECT_EQ(reading.unit, expected.unit());
  EXPECT_EQ(reading.quality, bits_of(expected.quality()));
  using Case = telemetry::v1::Reading::ValueCase;
  switch (expected.value_case()) {
    case Case::kDoubleValue:
      EXPECT_EQ(reading.type, ReadingType::kDouble);
      // The bits: a NaN's too, and the sign of a zero.
      EXPECT_EQ(std::bit_cast<std::uint64_t>(reading.number),
                std::bit_cast<std::uint64_t>(expected.double_value()));
      break;
    case Case::kInt64Value:
      EXPECT_EQ(reading.type, ReadingType::kInt64);
      EXPECT_EQ(reading.integer, expected.int64_value());
      break;
    case Case::kBoolValue:
      EXPECT_EQ(reading.type, ReadingType::kBool);
      EXPECT_EQ(reading.integer != 0, expected.bool_value());
      break;
    case Case::kStringValue:
      EXPECT_EQ(reading.type, ReadingType::kString);
      EXPECT_EQ(reading.text, expected.string_value());
      break;
    case Case::kBytesValue:
      EXPECT_EQ(reading.type, ReadingType::kBytes);
      EXPECT_EQ(reading.text, expected.bytes_value());
      break;
    case Case::VALUE_NOT_SET:
      EXPECT_EQ(reading.type, ReadingType::kNone);
      break;
  }
}

void expect_same(const ValidFields& fields, const ValidMessage& message) {
  EXPECT_EQ(fields.message_id, message.message_id());
  EXPECT_EQ(fields.tenant, message.tenant());
  EXPECT_EQ(fields.device, message.device());
  EXPECT_EQ(fields.fleet, message.fleet());
  EXPECT_EQ(fields.device_type, message.device_type());
  EXPECT_EQ(fields.region, message.region());
  EXPECT_EQ(fields.channel, static_cast<std::uint32_t>(message.channel()));
  EXPECT_EQ(fields.stream, message.stream());
  EXPECT_EQ(fields.protocol, static_cast<std::uint32_t>(message.protocol()));
  EXPECT_EQ(fields.schema_id, message.schema_id());
  EXPECT_EQ(fields.schema_version, message.schema_version());
  EXPECT_EQ(fields.event_time_ms, message.event_time_ms());
  EXPECT_EQ(fields.received_at_ms, message.received_at_ms());
  EXPECT_EQ(fields.device_time_ms.has_value(), message.has_device_time_ms());
  EXPECT_EQ(fields.device_time_ms.value_or(0), message.device_time_ms());
  EXPECT_EQ(fields.sequence.has_value(), message.has_sequence());
  EXPECT_EQ(fields.sequence.value_or(0), message.sequence());
  EXPECT_EQ(fields.buffered, message.buffered());
  EXPECT_EQ(fields.quality, bits_of(message.quality()));
  EXPECT_EQ(fields.traceparent, message.traceparent());
  EXPECT_EQ(fields.part, message.part());
}

TEST(ValidMessageWriter, WritesWhatTheGeneratedClassReadsAndTheReaderReadsTheSame) {
  Inputs in(4);
  for (int round = 0; round < 2000; ++round) {
    Made made;
    fill(in, made);
    std::string bytes = "before";
    write_valid_message(made.fields, made.readings, bytes);
    bytes.erase(0, 6);
    ValidMessage message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    expect_same(made.fields, message);
    ASSERT_EQ(static_cast<std::size_t>(message.readings_size()), made.readings.size());
    for (std::size_t i = 0; i < made.readings.size(); ++i) {
      expect_same(made.readings[i], message.readings(static_cast<int>(i)));
    }
    // As long as what the generated class writes: nothing is left out or spelled longer.
    EXPECT_EQ(message.ByteSizeLong(), bytes.size());

    const auto read = read_valid_message(bytes);
    ASSERT_TRUE(read.has_value());
    expect_same(read->fields(), message);
    ASSERT_EQ(read->reading_count(), made.readings.size());
    int index = 0;
    for (const ValidReading& reading : read->readings()) {
      expect_same(reading, message.readings(index++));
    }
    EXPECT_EQ(static_cast<std::size_t>(index), made.readings.size());
  }
}

TEST(ValidMessageReader, ReadsFieldsInAnyOrderAndRemarksThatAreNotPacked) {
  ValidMessage head;
  head.set_tenant("t");
  head.add_readings()->set_metric("a");
  ValidMessage tail;
  tail.set_device("d");
  tail.add_readings()->set_metric("b");
  std::string bytes = tail.SerializeAsString() + head.SerializeAsString();
  bytes += std::string("\x90\x01\x04\x90\x01\x63", 6);  // quality 4, then one without a bit
  const auto read = read_valid_message(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->fields().tenant, "t");
  EXPECT_EQ(read->fields().device, "d");
  EXPECT_EQ(read->fields().quality, QualityBits{1} << 4U);
  std::string names;
  for (const ValidReading& reading : read->readings()) names += reading.metric;
  EXPECT_EQ(names, "ba");
}

TEST(ValidMessageReader, NeverBelievesDamagedBytes) {
  Inputs in(5);
  for (int round = 0; round < 3000; ++round) {
    Made made;
    fill(in, made);
    std::string bytes;
    write_valid_message(made.fields, made.readings, bytes);
    for (std::uint64_t hits = 1 + in.below(3); hits > 0 && !bytes.empty(); --hits) {
      bytes[in.below(bytes.size())] = static_cast<char>(in.below(256));
    }
    bytes.resize(bytes.size() - in.below(bytes.size() + 1) / 4);
    const auto read = read_valid_message(bytes);
    if (!read) continue;
    EXPECT_TRUE(ValidMessage().ParseFromString(bytes));
    std::size_t count = 0;
    for (const ValidReading& reading : read->readings()) count += reading.metric.size() < 1'000'000;
    EXPECT_EQ(count, read->reading_count());
  }
}

}  // namespace
}  // namespace sluice::ingest
