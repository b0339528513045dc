// How a socket learns that its client has left: one loop, a real connection, fakes behind the
// broker.
#include "testing/one_loop.h"

#include <deque>
#include <format>
#include <string>
#include <vector>

#include <sluice/base/planted_bug.h>

namespace sluice::front::testing {
namespace {

using sluice::testing::eventually;

class DeviceSockets : public OneLoop {
 protected:
  void SetUp() override {
    start({.options = {.is_conformance_profile = true}});
  }  // lets anybody in

  /// A crowd leaves, and then one says goodbye, all within one turn of the loop.
  std::vector<std::string> ends_of_a_crowd_and_of_one_behind_it() {
    std::deque<PlainDevice> crowd;
    for (int i = 0; i < 100; ++i) {
      let_in(crowd.emplace_back(address()), {.id = std::format("d{}", i)});
    }
    PlainDevice one(address());
    let_in(one);
    {
      const auto held = hold_loop();
      for (PlainDevice& device : crowd) device.leave();
      one.send_disconnect();
    }
    EXPECT_TRUE(eventually([this] { return ends().size() == 101; }));
    return ends();
  }
};

TEST_F(DeviceSockets, EndWithAClientThatLeavesInTheMomentOfItsLastMessage) {
  PlainDevice device(address());
  let_in(device);
  {
    const auto held = hold_loop();
    device.send_message();  // which has no answer that could fail
    device.leave();
  }
  EXPECT_TRUE(eventually([this] { return has_ended("closed_by_client"); }));
}

TEST_F(DeviceSockets, ThatOverlookTheEndOfTheirClientWouldBeSeen) {
  const ScopedPlantedBug bug("front_overlooks_the_end");
  PlainDevice device(address());
  let_in(device);
  {
    const auto held = hold_loop();
    device.send_message();
    device.leave();
  }
  settle();
  EXPECT_FALSE(has_ended("closed_by_client"));
}

TEST_F(DeviceSockets, SeeOffACrowdBehindThoseWhoStay) {
  const auto ended = ends_of_a_crowd_and_of_one_behind_it();
  EXPECT_EQ(ended.front(), "ended /meter client_disconnect");
}

TEST_F(DeviceSockets, ThatSeeOffACrowdFirstWouldBeSeen) {
  const ScopedPlantedBug bug("front_lets_all_leave_at_once");
  const auto ended = ends_of_a_crowd_and_of_one_behind_it();
  EXPECT_EQ(ended.back(), "ended /meter client_disconnect");
}

TEST_F(DeviceSockets, CloseBehindAClientThatSaysGoodbye) {
  PlainDevice device(address());
  let_in(device);
  device.send_disconnect();
  EXPECT_TRUE(device.is_at_end());
  EXPECT_TRUE(has_ended("client_disconnect"));
}

}  // namespace
}  // namespace sluice::front::testing
