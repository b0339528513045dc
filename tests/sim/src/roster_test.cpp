#include "roster.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

TEST(Roster, ReadsDevicesWithTokensAndWithCertificates) {
  const auto roster =
      Roster::parse("# made by hand\nmeter,t1,d1,secret\r\n\nvehicle,t1,d2,,d2.crt,d2.key\n");
  ASSERT_TRUE(roster) << roster.error().message();
  ASSERT_EQ(roster->size(), 2U);
  EXPECT_EQ((*roster)[0].profile, Profile::kMeter);
  EXPECT_EQ(roster->identity(0), (swarm::Identity{"d1", "d1", "secret"}));
  EXPECT_EQ(roster->identity(1), swarm::Identity{"d2"});
  EXPECT_EQ((*roster)[1].key_file, "d2.key");
  EXPECT_EQ(roster->topic(1), "tenant/t1/device/d2/telemetry");
  EXPECT_EQ(roster->find("t1/d2"), 1);
  EXPECT_EQ(roster->find("t2/d2"), -1);
}

TEST(Roster, SaysWhichLineIsWrong) {
  for (const std::string_view text : {"meter,t1,d1,x\nboat,t1,d2,x\n", "meter,t1,d1,x\nmeter,t1\n",
                                      "meter,t1,d1,x\nmeter,t,d,,c.crt\n"}) {
    const auto roster = Roster::parse(text);
    ASSERT_FALSE(roster);
    EXPECT_TRUE(roster.error().message().starts_with("line 2: ")) << roster.error().message();
  }
  EXPECT_FALSE(Roster::parse("# nobody\n"));
}

}  // namespace
}  // namespace sluice::sim
