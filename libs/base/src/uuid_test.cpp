#include <sluice/base/uuid.h>

#include <cstdint>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

class SetClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(std::chrono::milliseconds(now_ms)); }
  MonoTime mono() const override { return {}; }
  std::int64_t now_ms = 1'767'225'600'000;
};

/// Always the same, so that order cannot come from luck.
class Constant final : public Random {
 public:
  explicit Constant(std::uint64_t number) : number_(number) {}
  std::uint64_t next() override { return number_; }

 private:
  std::uint64_t number_;
};

std::int64_t milliseconds_of(const Uuid& uuid) {
  std::int64_t out = 0;
  for (std::size_t i = 0; i < 6; ++i) out = out * 256 + uuid.bytes[i];
  return out;
}

TEST(Uuid, IsWrittenAndReadAsRfc9562Says) {
  const std::string text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  const auto uuid = Uuid::parse(text);
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->bytes[0], 0x01);
  EXPECT_EQ(uuid->bytes[15], 0x8F);
  EXPECT_EQ(uuid->to_string(), text);
  EXPECT_EQ(Uuid::parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), uuid);
}

TEST(Uuid, RefusesOtherForms) {
  for (const char* text :
       {"", "017f22e279b07cc398c4dc0c0c07398f", "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
        "017f22e2-79b0-7cc3-98c4_dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "-17f22e2-79b0-7cc3-98c4-dc0c0c07398f"}) {
    EXPECT_FALSE(Uuid::parse(text)) << text;
  }
}

TEST(UuidGenerator, StampsVersionVariantAndTime) {
  SetClock clock;
  Constant random(0x7FFF'FFFF'FFFF'FFFF);
  UuidGenerator generator(clock, random);
  const Uuid uuid = generator.next();
  EXPECT_EQ(uuid.bytes[6] >> 4, 7);
  EXPECT_EQ(uuid.bytes[8] >> 6, 2);  // the random bits there were 1
  EXPECT_EQ(milliseconds_of(uuid), clock.now_ms);
}

TEST(UuidGenerator, IdsOfOneMillisecondRise) {
  SetClock clock;
  Constant random(0);
  UuidGenerator generator(clock, random);
  Uuid last = generator.next();
  // Past the counter's 4096, so that time has to be borrowed.
  for (int i = 0; i < 20'000; ++i) {
    const Uuid next = generator.next();
    EXPECT_LT(last, next);
    EXPECT_LT(last.to_string(), next.to_string());
    last = next;
  }
  EXPECT_LE(milliseconds_of(last) - clock.now_ms, 5);
}

TEST(UuidGenerator, IdsRiseThoughTheClockGoesBack) {
  SetClock clock;
  Constant random(0);
  UuidGenerator generator(clock, random);
  Uuid last = generator.next();
  for (std::int64_t step : {5, -100'000, 0, 3, -1, 100'001}) {
    clock.now_ms += step;
    const Uuid next = generator.next();
    EXPECT_LT(last, next) << step;
    last = next;
  }
}

TEST(UuidGenerator, TwoGeneratorsDoNotMeet) {
  SetClock clock;
  SystemRandom random;
  UuidGenerator first(clock, random);
  UuidGenerator second(clock, random);
  std::set<Uuid> seen;
  for (int i = 0; i < 1'000; ++i) {
    seen.insert(first.next());
    seen.insert(second.next());
  }
  EXPECT_EQ(seen.size(), 2'000U);
}

}  // namespace
}  // namespace sluice
