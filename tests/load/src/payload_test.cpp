#include "payload.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

TEST(Payload, HasTheSizeAskedForAndIsAnObject) {
  for (const std::size_t size : {24U, 25U, 30U, 31U, 32U, 128U, 5'000U}) {
    const std::string payload = make_payload(size);
    EXPECT_EQ(payload.size(), size);
    EXPECT_TRUE(payload.starts_with('{'));
    EXPECT_NE(payload.find('}'), std::string::npos);
  }
  EXPECT_EQ(make_payload(1).size(), 24U);
}

TEST(Payload, CarriesTheTime) {
  std::string payload = make_payload(64);
  const MonoTime time(std::chrono::nanoseconds(0x123'4567'89ab'cdefLL));
  write_stamp(time, bytes_of(payload).subspan(kStampAt, kStampSize));
  EXPECT_EQ(payload.substr(0, 24), R"({"t":"0123456789abcdef",)");
  EXPECT_EQ(read_stamp(bytes_of(payload)), time);
}

TEST(Payload, OfOthersHasNoTime) {
  for (std::string foreign : {"", "{}", "{\"t\":\"0123", "{\"t\":\"0123456789abcdeX\"}", "hello"}) {
    EXPECT_FALSE(read_stamp(bytes_of(foreign))) << foreign;
  }
}

}  // namespace

}  // namespace sluice::load
