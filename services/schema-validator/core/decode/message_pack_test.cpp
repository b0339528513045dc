#include "core/decode/message_pack.h"

#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::string read(const std::string& payload, const PayloadLimits& limits = {}) {
  RecordingSink sink;
  const auto rejection = decode_message_pack(bytes_of(payload), limits, sink);
  return rejection ? std::string(name_of(rejection->reason)) : sink.text();
}

std::string repeat(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

/// {"ts": 1700000000000, "metrics": {"temp": 21.5, "on": true, "n": -3, "raw": h'0102'}, "seq":
/// 300}
const std::string kTelemetry = unhex(
    "83 a27473 cf0000018bcfe56800 a76d657472696373 84 a474656d70 cb4035800000000000 a26f6e c3"
    "a16e fd a3726177 c4020102 a3736571 cd012c");

TEST(MessagePack, ReadsEveryKindOfItem) {
  const std::pair<const char*, const char*> cases[] = {
      {"00", "0"},
      {"7f", "127"},
      {"e0", "-32"},
      {"ff", "-1"},
      {"c0", "null"},
      {"c2", "false"},
      {"c3", "true"},
      {"ccff", "255"},
      {"cdffff", "65535"},
      {"ceffffffff", "4294967295"},
      {"cf7fffffffffffffff", "9223372036854775807"},
      {"cfffffffffffffffff", "u18446744073709551615"},
      {"d080", "-128"},
      {"d18000", "-32768"},
      {"d280000000", "-2147483648"},
      {"d38000000000000000", "-9223372036854775808"},
      {"ca3fc00000", "d1.5"},
      {"cb3ff199999999999a", "d1.1"},
      {"ca7f800000", "dinf"},
      {"a0", "\"\""},
      {"a161", "\"a\""},
      {"d90161", "\"a\""},
      {"da000161", "\"a\""},
      {"db0000000161", "\"a\""},
      {"c40100", "h'00'"},
      {"c5000100", "h'00'"},
      {"c60000000100", "h'00'"},
      {"90", "[]"},
      {"920102", "[1,2]"},
      {"dc000101", "[1]"},
      {"dd0000000101", "[1]"},
      {"80", "{}"},
      {"81a16101", "{\"a\":1}"},
      {"81d9016101", "{\"a\":1}"},
      {"de0001da00016101", "{\"a\":1}"},
      {"df00000001db000000016101", "{\"a\":1}"},
      {"d6ff65920080", "1704067200"},
      {"d7ff7735940065920080", "d1704067200.5"},
      {"c70cff000000000000000065920080", "1704067200"},
  };
  for (const auto& [hex, text] : cases) EXPECT_EQ(read(unhex(hex)), text) << hex;
}

TEST(MessagePack, ReadsTelemetry) {
  EXPECT_EQ(read(kTelemetry),
            "{\"ts\":1700000000000,\"metrics\":{\"temp\":d21.5,\"on\":true,\"n\":-3,\"raw\":h'0102'"
            "},\"seq\":300}");
}

TEST(MessagePack, RefusesWhatIsNone) {
  for (const char* hex : {"", "c1", "0000", "81 01 02", "81 c0 01", "a2 61", "a1 ff", "d4 05 00",
                          "c4 05 00", "92 01", "d6 ff 00", "d7 ff ffffffffffffffff"}) {
    EXPECT_EQ(read(unhex(hex)), "malformed_payload") << hex;
  }
}

TEST(MessagePack, BelievesNoCountBeforeItsItemsAreThere) {
  EXPECT_EQ(read(unhex("dd ffffffff 01")), "malformed_payload");
  EXPECT_EQ(read(unhex("df ffffffff a161 01")), "malformed_payload");
  EXPECT_EQ(read(unhex("db ffffffff 61")), "malformed_payload");
}

TEST(MessagePack, KeepsEachBound) {
  EXPECT_EQ(read(repeat("\x91", 32) + "\x01"), repeat("[", 32) + "1" + repeat("]", 32));
  EXPECT_EQ(read(repeat("\x91", 33) + "\x01"), "payload_too_deep");
  EXPECT_EQ(read(repeat("\x91", 100'000) + "\x01", {.max_depth = SIZE_MAX}), "payload_too_deep");
  EXPECT_EQ(read(unhex("93 01 02 03"), {.max_values = 4}), "[1,2,3]");
  EXPECT_EQ(read(unhex("93 01 02 03"), {.max_values = 3}), "payload_too_complex");
  EXPECT_EQ(read(unhex("a3 616161"), {.max_text = 3}), "\"aaa\"");
  EXPECT_EQ(read(unhex("a3 616161"), {.max_text = 2}), "payload_too_complex");
  EXPECT_EQ(read(unhex("c403 616161"), {.max_text = 2}), "payload_too_complex");
  EXPECT_EQ(read(unhex("81 a3616161 01"), {.max_text = 2}), "payload_too_complex");
}

TEST(MessagePack, StopsWhereTheSinkHasSeenEnough) {
  RecordingSink whole;
  decode_message_pack(bytes_of(kTelemetry), {}, whole);
  for (std::size_t stop = 0; stop < whole.calls(); ++stop) {
    RecordingSink sink(stop);
    EXPECT_FALSE(decode_message_pack(bytes_of(kTelemetry), {}, sink));
    EXPECT_EQ(sink.calls(), stop + 1);
  }
}

TEST(MessagePack, RefusesEveryBeginning) {
  for_each_beginning(kTelemetry, [](std::span<const std::byte> part) {
    RecordingSink sink;
    EXPECT_TRUE(decode_message_pack(part, {}, sink)) << part.size();
  });
}

TEST(MessagePack, EndsWithAValueOrAReasonWhateverComes) {
  int read_whole = 0;
  for_each_damage(kTelemetry, 20'000, [&](std::span<const std::byte> damaged) {
    RecordingSink sink;
    const auto rejection = decode_message_pack(damaged, {}, sink);
    EXPECT_TRUE(rejection || sink.is_complete());
    read_whole += rejection ? 0 : 1;
  });
  EXPECT_GT(read_whole, 0);
}

}  // namespace
}  // namespace sluice::validator
