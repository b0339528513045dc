#include "core/decode/cbor.h"

#include "testing/hostile.h"
#include "testing/recording_sink.h"

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

std::string read(const std::string& payload, const PayloadLimits& limits = {}) {
  RecordingSink sink;
  std::string scratch;
  const auto rejection = decode_cbor(bytes_of(payload), limits, sink, scratch);
  return rejection ? std::string(name_of(rejection->reason)) : sink.text();
}

std::string repeat(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

/// {"ts": 1(1700000000.5), "metrics": (_ {"temp": 21.5 (half), "name": (_ "ab", "c")}), "seq": 300}
const std::string kTelemetry = unhex(
    "a3 627473 c1 fb41d954fc40200000 676d657472696373 bf 6474656d70 f94d60 646e616d65 7f 626162 "
    "6163 ff"
    "ff 63736571 19012c");

// RFC 8949 appendix A, as far as a payload of telemetry can say it.
TEST(Cbor, ReadsTheExamplesOfItsSpecification) {
  const std::pair<const char*, const char*> cases[] = {
      {"00", "0"},
      {"01", "1"},
      {"0a", "10"},
      {"17", "23"},
      {"1818", "24"},
      {"1819", "25"},
      {"1864", "100"},
      {"1903e8", "1000"},
      {"1a000f4240", "1000000"},
      {"1b000000e8d4a51000", "1000000000000"},
      {"1bffffffffffffffff", "u18446744073709551615"},
      {"3903e7", "-1000"},
      {"20", "-1"},
      {"29", "-10"},
      {"3863", "-100"},
      {"f90000", "d0"},
      {"f98000", "d-0"},
      {"f93c00", "d1"},
      {"fb3ff199999999999a", "d1.1"},
      {"f93e00", "d1.5"},
      {"f97bff", "d65504"},
      {"fa47c35000", "d1e+05"},
      {"fa7f7fffff", "d3.4028234663852886e+38"},
      {"fb7e37e43c8800759c", "d1e+300"},
      {"f90001", "d5.960464477539063e-08"},
      {"f90400", "d6.103515625e-05"},
      {"f9c400", "d-4"},
      {"fbc010666666666666", "d-4.1"},
      {"f97c00", "dinf"},
      {"f97e00", "dnan"},
      {"f9fc00", "d-inf"},
      {"fa7f800000", "dinf"},
      {"fb7ff0000000000000", "dinf"},
      {"f4", "false"},
      {"f5", "true"},
      {"f6", "null"},
      {"f7", "null"},
      {"c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""},
      {"c11a514b67b0", "1363896240"},
      {"c1fb41d452d9ec200000", "d1363896240.5"},
      {"d74401020304", "h'01020304'"},
      {"40", "h''"},
      {"4401020304", "h'01020304'"},
      {"60", "\"\""},
      {"6161", "\"a\""},
      {"6449455446", "\"IETF\""},
      {"62c3bc", "\"ü\""},
      {"63e6b0b4", "\"水\""},
      {"64f0908591", "\"𐅑\""},
      {"80", "[]"},
      {"83010203", "[1,2,3]"},
      {"8301820203820405", "[1,[2,3],[4,5]]"},
      {"a0", "{}"},
      {"a26161016162820203", "{\"a\":1,\"b\":[2,3]}"},
      {"826161a161626163", "[\"a\",{\"b\":\"c\"}]"},
      {"5f42010243030405ff", "h'0102030405'"},
      {"7f657374726561646d696e67ff", "\"streaming\""},
      {"9fff", "[]"},
      {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
      {"9f01820203820405ff", "[1,[2,3],[4,5]]"},
      {"83018202039f0405ff", "[1,[2,3],[4,5]]"},
      {"83019f0203ff820405", "[1,[2,3],[4,5]]"},
      {"bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"},
      {"826161bf61626163ff", "[\"a\",{\"b\":\"c\"}]"},
      {"bf6346756ef563416d7421ff", "{\"Fun\":true,\"Amt\":-2}"},
      {"d9d9f7a0", "{}"},
      {"c249ffffffffffffffffff", "number_out_of_range"},
      {"c248ffffffffffffffff", "u18446744073709551615"},
      {"c24a00000000000000000005", "5"},
      {"c3487fffffffffffffff", "-9223372036854775808"},
      {"c3488000000000000000", "number_out_of_range"},
      {"3bffffffffffffffff", "number_out_of_range"},
      {"3b7fffffffffffffff", "-9223372036854775808"},
      {"c240", "0"},
      {"c25f4101ff", "1"},
  };
  for (const auto& [hex, text] : cases) EXPECT_EQ(read(unhex(hex)), text) << hex;
}

TEST(Cbor, ReadsTelemetry) {
  EXPECT_EQ(read(kTelemetry),
            "{\"ts\":d1700000000.5,\"metrics\":{\"temp\":d21.5,\"name\":\"abc\"},\"seq\":300}");
}

// RFC 8949 appendix F, and what no telemetry means.
TEST(Cbor, RefusesWhatIsNotWellFormed) {
  for (const char* hex : {"",
                          "18",
                          "19",
                          "1a",
                          "1b",
                          "1901",
                          "1a0102",
                          "1b01020304050607",
                          "38",
                          "58",
                          "78",
                          "98",
                          "9a01ff00",
                          "b8",
                          "d8",
                          "f8",
                          "f900",
                          "fa0000",
                          "fb000000",
                          "41",
                          "61",
                          "5affffffff00",
                          "5bffffffffffffffff010203",
                          "7affffffff00",
                          "7b7fffffffffffffff010203",
                          "81",
                          "8200",
                          "a1",
                          "a20102",
                          "a100",
                          "a2000000",
                          "5f4100",
                          "7f6100",
                          "9f",
                          "9f0102",
                          "bf",
                          "bf01020102",
                          "819f",
                          "9f8000",
                          "9f9f9f9f9fffffffff",
                          "9f819f819f9fffffff",
                          "1c",
                          "1d",
                          "1e",
                          "3c",
                          "5c",
                          "7c",
                          "9c",
                          "bc",
                          "dc",
                          "fc",
                          "fd",
                          "fe",
                          "ff",
                          "1f",
                          "3f",
                          "df",
                          "5f00ff",
                          "5f21ff",
                          "5f6100ff",
                          "5f80ff",
                          "5f5f4100ffff",
                          "7f4100ff",
                          "7f7f6100ffff",
                          "81ff",
                          "8200ff",
                          "a1ff",
                          "a1ff00",
                          "a100ff",
                          "a20000ff",
                          "bf00ff",
                          "bf000000ff",
                          "9f81ff",
                          "0000",
                          "a10102",
                          "c2f6",
                          "e0",
                          "f818",
                          "f800",
                          "f820",
                          "61ff",
                          "7f61c361bcff",
                          "c0c0c0c0c0c0c0c0c000"}) {
    EXPECT_EQ(read(unhex(hex)), "malformed_payload") << hex;
  }
}

TEST(Cbor, KeepsEachBound) {
  EXPECT_EQ(read(repeat("\x81", 32) + "\x01"), repeat("[", 32) + "1" + repeat("]", 32));
  EXPECT_EQ(read(repeat("\x81", 33) + "\x01"), "payload_too_deep");
  EXPECT_EQ(read(repeat("\x9f", 100'000), {.max_depth = SIZE_MAX}), "payload_too_deep");
  EXPECT_EQ(read(unhex("83010203"), {.max_values = 4}), "[1,2,3]");
  EXPECT_EQ(read(unhex("83010203"), {.max_values = 3}), "payload_too_complex");
  EXPECT_EQ(read(unhex("9f010203ff"), {.max_values = 3}), "payload_too_complex");
  EXPECT_EQ(read(unhex("63616161"), {.max_text = 2}), "payload_too_complex");
  EXPECT_EQ(read(unhex("7f61616161ff"), {.max_text = 2}), "\"aa\"");
  EXPECT_EQ(read(unhex("7f616161616161ff"), {.max_text = 2}), "payload_too_complex");
}

TEST(Cbor, StopsWhereTheSinkHasSeenEnough) {
  RecordingSink whole;
  std::string scratch;
  decode_cbor(bytes_of(kTelemetry), {}, whole, scratch);
  for (std::size_t stop = 0; stop < whole.calls(); ++stop) {
    RecordingSink sink(stop);
    EXPECT_FALSE(decode_cbor(bytes_of(kTelemetry), {}, sink, scratch));
    EXPECT_EQ(sink.calls(), stop + 1);
  }
}

TEST(Cbor, RefusesEveryBeginning) {
  for_each_beginning(kTelemetry, [](std::span<const std::byte> part) {
    RecordingSink sink;
    std::string scratch;
    EXPECT_TRUE(decode_cbor(part, {}, sink, scratch)) << part.size();
  });
}

TEST(Cbor, EndsWithAValueOrAReasonWhateverComes) {
  int read_whole = 0;
  std::string scratch;
  for_each_damage(kTelemetry, 20'000, [&](std::span<const std::byte> damaged) {
    RecordingSink sink;
    const auto rejection = decode_cbor(damaged, {}, sink, scratch);
    EXPECT_TRUE(rejection || sink.is_complete());
    read_whole += rejection ? 0 : 1;
  });
  EXPECT_GT(read_whole, 0);
}

}  // namespace
}  // namespace sluice::validator
