#include "core/retained_messages.h"

#include <optional>
#include <string>
#include <vector>

#include <sluice/testing/sim_random.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using std::chrono::seconds;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Retained : public ::testing::Test {
 protected:
  static mqtt::MessagePtr message(std::string topic, std::string payload,
                                  std::optional<MonoTime> expires_at = {}) {
    return std::make_shared<const mqtt::Message>(mqtt::Message{.topic = std::move(topic),
                                                               .payload = std::move(payload),
                                                               .retain = true,
                                                               .expires_at = expires_at});
  }
  /// The bound that keeps it out; empty: none.
  std::string put(std::string_view tenant, std::string topic, std::string payload,
                  std::optional<MonoTime> expires_at = {}) {
    return std::string(
        retained.put(tenant, message(std::move(topic), std::move(payload), expires_at)));
  }
  std::vector<std::string> find(std::string_view tenant, std::string_view filter,
                                std::size_t limit = 10) {
    std::vector<std::string> payloads;
    for (const auto& message : retained.find(tenant, filter, now, limit)) {
      payloads.push_back(message->payload);
    }
    return payloads;
  }
  sluice::testing::SimRandom random{1};
  RetainedMessages retained{{.max_messages = 5,
                             .max_bytes = 500,
                             .max_messages_per_tenant = 3,
                             .max_bytes_per_tenant = 300},
                            random};
  MonoTime now{seconds(100)};
};

TEST_F(Retained, AreFoundByFilterWithinTheirTenant) {
  put("blue", "a/1", "one");
  put("blue", "a/2", "two");
  put("red", "a/3", "three");
  EXPECT_THAT(find("blue", "a/+"), UnorderedElementsAre("one", "two"));
  EXPECT_THAT(find("red", "#"), UnorderedElementsAre("three"));
  EXPECT_THAT(find("green", "#"), IsEmpty());
  EXPECT_EQ(find("blue", "#", 1).size(), 1U);
  EXPECT_EQ(retained.size(), 3U);
}

TEST_F(Retained, AreReplacedAndForgotten) {
  put("blue", "a", "one");
  put("blue", "a", "two");
  EXPECT_THAT(find("blue", "a"), UnorderedElementsAre("two"));
  EXPECT_EQ(put("blue", "a", ""), "");
  EXPECT_THAT(find("blue", "a"), IsEmpty());
  put("blue", "a", "three");
  retained.remove("blue", "a");
  EXPECT_EQ(retained.size(), 0U);
}

TEST_F(Retained, AreBoundedPerTenantAndInAll) {
  for (const char* topic : {"a", "b", "c"}) EXPECT_EQ(put("blue", topic, "x"), "");
  EXPECT_EQ(put("blue", "d", "x"), "retained_max_messages_per_tenant");
  EXPECT_EQ(put("blue", "a", "replaced"), "") << "one that is there takes no more room";
  for (const char* topic : {"a", "b"}) EXPECT_EQ(put("red", topic, "x"), "");
  EXPECT_EQ(put("red", "c", "x"), "retained_max_messages");
  EXPECT_EQ(put("blue", "a", ""), "") << "to forget needs no room";
  EXPECT_EQ(put("red", "c", "x"), "");
}

TEST_F(Retained, AreBoundedInBytes) {
  EXPECT_EQ(put("blue", "a", std::string(200, 'x')), "");
  EXPECT_EQ(put("blue", "b", std::string(100, 'x')), "retained_max_bytes_per_tenant");
  EXPECT_EQ(put("red", "a", std::string(200, 'x')), "");
  EXPECT_EQ(put("green", "a", std::string(100, 'x')), "retained_max_bytes");
  EXPECT_EQ(put("blue", "a", std::string(201, 'x')), "");
  EXPECT_EQ(put("blue", "a", ""), "");
  EXPECT_EQ(put("green", "a", std::string(100, 'x')), "");
}

// A store that all fronts share keeps the bounds; what it has every front has.
TEST_F(Retained, AreNeverRefusedWhereTheStoreHasThem) {
  for (const char* topic : {"a", "b", "c", "d", "e", "f"}) {
    retained.learn("blue", message(topic, std::string(100, 'x')));
  }
  EXPECT_EQ(retained.size(), 6U);
  EXPECT_EQ(retained.bound_reached("blue", *message("g", "x")), "retained_max_messages_per_tenant");
  EXPECT_EQ(retained.bound_reached("blue", *message("a", "smaller")), "");
  EXPECT_EQ(retained.bound_reached("blue", *message("a", std::string(101, 'x'))),
            "retained_max_bytes_per_tenant");
  EXPECT_EQ(retained.bound_reached("red", *message("a", "x")), "retained_max_messages");
}

TEST_F(Retained, LeaveRoomWhenTheyAreGone) {
  const auto fill = [&] {
    for (const char* topic : {"a", "b", "c"}) EXPECT_EQ(put("blue", topic, "x", now), "");
    for (const char* topic : {"a", "b"}) EXPECT_EQ(put("red", topic, "x", now), "");
  };
  fill();
  for (int i = 0; i < 10; ++i) retained.sweep(now, 100);
  fill();
  retained.clear();
  fill();
}

TEST_F(Retained, AreNotFoundOnceTheyExpiredAndThenSwept) {
  put("blue", "a", "short", now + seconds(1));
  put("blue", "b", "long");
  now += seconds(1);
  EXPECT_THAT(find("blue", "#"), UnorderedElementsAre("long"));
  EXPECT_EQ(retained.size(), 2U);
  std::size_t removed = 0;
  for (int i = 0; i < 10; ++i) removed += retained.sweep(now, 100);
  EXPECT_EQ(removed, 1U);
  EXPECT_EQ(retained.size(), 1U);
}

TEST(StoredNames, ComeBackAsTheyWere) {
  const std::string name = stored_name("blue", "a/b");
  EXPECT_EQ(split_stored_name(name).tenant, "blue");
  EXPECT_EQ(split_stored_name(name).topic, "a/b");
  const std::string nobodys = stored_name("", "/a");
  EXPECT_EQ(split_stored_name(nobodys).tenant, "");
  EXPECT_EQ(split_stored_name(nobodys).topic, "/a");
}

}  // namespace
}  // namespace sluice::front
