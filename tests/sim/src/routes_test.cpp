#include "routes.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

Result<Roster> three() { return Roster::parse("meter,t,a,x\nmeter,t,b,x\nmeter,t,c,x\n"); }

std::uint16_t port(const Routes& routes, std::uint32_t device, std::uint32_t attempt) {
  return routes.of(device, attempt).target().port;
}

TEST(Routes, SpreadDevicesOverTheAddressesAndTakeTheNextOneEachTime) {
  const auto roster = three();
  ASSERT_TRUE(roster);
  const Fleet fleet({}, roster->profiles(), 0);
  const auto routes = Routes::make({.plain = "127.0.0.1:1001,127.0.0.1:1002"}, *roster, fleet);
  ASSERT_TRUE(routes) << routes.error().message();
  EXPECT_EQ(port(**routes, 0, 0), 1001);
  EXPECT_EQ(port(**routes, 1, 0), 1002);
  EXPECT_EQ(port(**routes, 1, 1), 1001);
  EXPECT_EQ(port(**routes, 1, 2), 1002);
}

TEST(Routes, RefuseAnAddressWithoutAPort) {
  const auto roster = three();
  ASSERT_TRUE(roster);
  const Fleet fleet({}, roster->profiles(), 0);
  EXPECT_FALSE(Routes::make({.plain = "127.0.0.1:1001,127.0.0.1"}, *roster, fleet));
}

}  // namespace
}  // namespace sluice::sim
