#include <sluice/ingest/envelope.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <sluice/base/trace.h>
#include <sluice/telemetry/v1/raw_message.pb.h>
#include <sluice/testing/sim_random.h>

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

namespace sluice::ingest {
namespace {

namespace proto = ::sluice::telemetry::v1;

static_assert(static_cast<int>(Channel::kTelemetry) == proto::CHANNEL_TELEMETRY);
static_assert(static_cast<int>(Channel::kEvent) == proto::CHANNEL_EVENT);
static_assert(static_cast<int>(Protocol::kMqtt) == proto::PROTOCOL_MQTT);
static_assert(static_cast<int>(Protocol::kHttp) == proto::PROTOCOL_HTTP);
static_assert(static_cast<int>(Protocol::kCoap) == proto::PROTOCOL_COAP);

/// One message in both forms.
class Sample {
 public:
  explicit Sample(testing::SimRandom& random) : random_(random) {
    for (std::string* text : {&tenant_, &device_, &fleet_, &type_, &region_, &schema_, &stream_,
                              &topic_, &content_type_, &traceparent_}) {
      *text = some_text();
    }
    payload_ = some_bytes();
    fields.qos = static_cast<std::uint8_t>(random.below(3));
    fields.received_at_ms = random.chance(0.1)
                                ? static_cast<std::int64_t>(random.next())
                                : static_cast<std::int64_t>(random.next() >> random.below(64));
    for (std::uint8_t& byte : fields.message_id) byte = static_cast<std::uint8_t>(random.next());
    fields.payload = std::as_bytes(std::span(payload_));
    fields.declared.content_type = content_type_;
    fields.declared.traceparent = traceparent_;
    fields.declared.buffered = random.chance(0.5);
    if (random.chance(0.5)) fields.declared.content_encoding = "gzip";
    if (random.chance(0.5)) fields.declared.sequence = random.next() >> random.below(64);
    source = {.tenant = tenant_,
              .device = device_,
              .fleet = fleet_,
              .device_type = type_,
              .region = region_,
              .schema_id = schema_,
              .stream = stream_,
              .topic = topic_,
              .channel = random.chance(0.5) ? Channel::kTelemetry : Channel::kEvent,
              .protocol = random.chance(0.5) ? Protocol::kMqtt : Protocol::kHttp};
  }

  proto::RawMessage expected() const {
    proto::RawMessage message;
    message.set_message_id(fields.message_id.data(), fields.message_id.size());
    message.set_tenant(tenant_);
    message.set_device(device_);
    message.set_fleet(fleet_);
    message.set_device_type(type_);
    message.set_region(region_);
    message.set_channel(static_cast<proto::Channel>(source.channel));
    message.set_stream(stream_);
    message.set_topic(topic_);
    message.set_qos(fields.qos);
    message.set_protocol(static_cast<proto::Protocol>(source.protocol));
    message.set_content_type(content_type_);
    message.set_content_encoding(std::string(fields.declared.content_encoding));
    message.set_payload(payload_);
    message.set_received_at_ms(fields.received_at_ms);
    if (fields.declared.sequence) message.set_sequence(*fields.declared.sequence);
    message.set_buffered(fields.declared.buffered);
    message.set_traceparent(traceparent_);
    message.set_schema_id(schema_);
    return message;
  }

  EnvelopeSource source{};
  EnvelopeFields fields{};

 private:
  std::string some_text() {
    std::string text;
    // Now and then past 127 bytes, where the size takes a second byte.
    const std::uint64_t size = random_.chance(0.2) ? random_.below(300) : random_.below(20);
    for (std::uint64_t i = 0; i < size; ++i) text += static_cast<char>('a' + random_.below(26));
    return text;
  }
  std::string some_bytes() {
    std::string bytes(random_.chance(0.1) ? random_.below(70'000) : random_.below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_.next());
    return bytes;
  }

  testing::SimRandom& random_;
  std::string tenant_, device_, fleet_, type_, region_, schema_, stream_, topic_, content_type_,
      traceparent_, payload_;
};

TEST(Envelope, IsTheRawMessageThatTheGeneratedClassReads) {
  testing::SimRandom random(7);
  for (int round = 0; round < 2000; ++round) {
    const Sample sample(random);
    const EnvelopePrefix prefix(sample.source);
    std::string written = "before";
    append_envelope(prefix, sample.fields, written);
    ASSERT_EQ(written.size(), 6 + envelope_size(prefix, sample.fields));
    proto::RawMessage read;
    ASSERT_TRUE(read.ParseFromString(written.substr(6))) << "round " << round;
    const proto::RawMessage expected = sample.expected();
    ASSERT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read, expected))
        << "round " << round;
    ASSERT_EQ(read.ByteSizeLong(), expected.ByteSizeLong());  // no unknown fields
    // Proto3's own serialization leaves out what is empty, and so does this one, except for the
    // time.
    ASSERT_EQ(written.size() - 6,
              expected.ByteSizeLong() + (expected.received_at_ms() == 0 ? 2 : 0));
  }
}

TEST(Envelope, OfNothingIsAMessageOfNothing) {
  std::string written;
  append_envelope(EnvelopePrefix(EnvelopeSource{}), EnvelopeFields{}, written);
  proto::RawMessage read;
  ASSERT_TRUE(read.ParseFromString(written));
  EXPECT_EQ(read.payload(), "");
  EXPECT_FALSE(read.has_sequence());
}

TEST(Envelope, WritesIntoRoomThatIsThere) {
  testing::SimRandom random(8);
  const Sample sample(random);
  const EnvelopePrefix prefix(sample.source);
  const std::size_t size = envelope_size(prefix, sample.fields);
  std::vector<char> room(size + 1, 'x');
  EXPECT_EQ(write_envelope(prefix, sample.fields, room.data()), room.data() + size);
  EXPECT_EQ(room.back(), 'x');
  std::string appended;
  append_envelope(prefix, sample.fields, appended);
  EXPECT_EQ(std::string(room.data(), size), appended);
}

TEST(DeclaredFields, AreReadWhateverTheCaseOfTheirNames) {
  DeclaredFields fields;
  EXPECT_EQ(read_declared("buffered", "true", fields), Declared::kTaken);
  EXPECT_TRUE(fields.buffered);
  EXPECT_EQ(read_declared("Buffered", "0", fields), Declared::kTaken);
  EXPECT_FALSE(fields.buffered);
  EXPECT_EQ(read_declared("BUFFERED", "1", fields), Declared::kTaken);
  EXPECT_TRUE(fields.buffered);
  EXPECT_EQ(read_declared("seq", "0", fields), Declared::kTaken);
  EXPECT_EQ(fields.sequence, 0U);
  EXPECT_EQ(read_declared("Sequence", "18446744073709551615", fields), Declared::kTaken);
  EXPECT_EQ(fields.sequence, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(read_declared("Content-Encoding", "GZIP", fields), Declared::kTaken);
  EXPECT_EQ(fields.content_encoding, "gzip");
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_EQ(read_declared("traceparent", trace, fields), Declared::kTaken);
  EXPECT_EQ(fields.traceparent, trace);
  EXPECT_EQ(read_declared("colour", "red", fields), Declared::kNotOurs);
  EXPECT_EQ(read_declared("", "", fields), Declared::kNotOurs);
}

TEST(DeclaredFields, IgnoreWhatIsNotBelieved) {
  DeclaredFields fields{.sequence = 5, .buffered = true, .content_encoding = "zstd"};
  const std::pair<const char*, const char*> invalid[] = {{"buffered", "yes"},
                                                         {"buffered", ""},
                                                         {"buffered", "11"},
                                                         {"seq", ""},
                                                         {"seq", "-1"},
                                                         {"seq", "1.5"},
                                                         {"seq", "1 "},
                                                         {"seq", "18446744073709551616"},
                                                         {"traceparent", "00-abc-01"},
                                                         {"traceparent", ""},
                                                         {"content-encoding", "br"},
                                                         {"content-encoding", ""}};
  for (const auto& [name, value] : invalid) {
    EXPECT_EQ(read_declared(name, value, fields), Declared::kInvalid) << name << "=" << value;
  }
  EXPECT_EQ(fields.sequence, 5U);
  EXPECT_TRUE(fields.buffered);
  EXPECT_EQ(fields.content_encoding, "zstd");
  EXPECT_EQ(fields.traceparent, "");
}

TEST(DeclaredFields, TakeTheTraceparentsThatTraceContextTakes) {
  testing::SimRandom random(9);
  std::size_t taken = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = TraceContext::start(random).traceparent();
    if (random.chance(0.1)) text.replace(3, 32, 32, '0');
    if (random.chance(0.1)) text.replace(36, 16, 16, '0');
    if (random.chance(0.5)) text[random.below(text.size())] = "0aAgF-f \0"[random.below(9)];
    if (random.chance(0.1)) text.resize(random.below(60), '0');
    DeclaredFields fields;
    const bool is_taken = read_declared("traceparent", text, fields) == Declared::kTaken;
    ASSERT_EQ(is_taken, TraceContext::parse(text).has_value()) << text;
    taken += is_taken ? 1 : 0;
  }
  EXPECT_GT(taken, 5000U);
}

TEST(DeclaredFields, TakeAContentTypeThatCanBeOne) {
  DeclaredFields fields;
  EXPECT_EQ(read_content_type("application/json; charset=utf-8", fields), Declared::kTaken);
  EXPECT_EQ(fields.content_type, "application/json; charset=utf-8");
  EXPECT_EQ(read_content_type("", fields), Declared::kInvalid);
  EXPECT_EQ(read_content_type("a\nb", fields), Declared::kInvalid);
  EXPECT_EQ(read_content_type("caf\xc3\xa9", fields), Declared::kInvalid);
  EXPECT_EQ(read_content_type(std::string(kMaxContentTypeSize + 1, 'a'), fields),
            Declared::kInvalid);
  EXPECT_EQ(fields.content_type, "application/json; charset=utf-8");
}

}  // namespace
}  // namespace sluice::ingest
