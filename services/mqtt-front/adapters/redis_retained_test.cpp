#include "adapters/redis_session_store_mirror_scripts.h"
#include "adapters/redis_session_store_tables.h"
#include "adapters/redis_under_test.h"
#include "core/retained_messages.h"

#include <format>
#include <string>
#include <utility>

#include <sluice/base/planted_bug.h>

#include <gmock/gmock.h>

// Retained messages in Redis beyond what every store does: outages, data of earlier releases, and
// in which order a front hears of what.
namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Pair;
using Retained = std::map<std::string, std::string>;
using WhenAway = SessionStore::WhenAway;

TEST(Told, OwnWritesAtOnceUnlessTheLogWasThereFirst) {
  ToldInOrder told;
  EXPECT_TRUE(told.takes_own("a", "g", 1)) << "the first of all";
  told.begin("g");
  told.followed(1);
  EXPECT_TRUE(told.takes_own("a", "g", 5));
  EXPECT_FALSE(told.takes_followed("a", 4)) << "the log is behind";
  EXPECT_TRUE(told.takes_followed("b", 4));
  told.followed(4);
  EXPECT_FALSE(told.takes_followed("a", 4));
  EXPECT_TRUE(told.takes_followed("a", 6)) << "another front's";
  told.followed(6);
  EXPECT_FALSE(told.takes_own("a", "g", 5)) << "the log told of what came after";
  EXPECT_TRUE(told.takes_followed("a", 6));
  const ScopedPlantedBug bug("front_tells_own_writes_last");
  EXPECT_TRUE(told.takes_own("a", "g", 5));
}

TEST(Told, OwnWritesInTheirOrder) {
  ToldInOrder told;
  told.begin("g");
  EXPECT_TRUE(told.takes_own("a", "g", 7));
  EXPECT_FALSE(told.takes_own("a", "g", 6));
}

TEST(Told, NothingOfAnotherLifeOfTheData) {
  ToldInOrder told;
  told.begin("g");
  told.followed(100);
  EXPECT_TRUE(told.takes_own("a", "g", 101));
  told.begin("h");
  EXPECT_FALSE(told.takes_own("a", "g", 102));
  EXPECT_TRUE(told.takes_followed("a", 1));
  EXPECT_TRUE(told.takes_own("a", "h", 1));
}

class RedisRetained : public RedisSessionStoreTest {
 protected:
  Result<> retain_later(FrontUnderTest& front, const std::string& topic,
                        const std::string& payload) {
    const auto message = message_of(topic, payload);
    return wait_for<void>(front.loop(), [&](Done<void> done) {
      if (payload.empty()) {
        return front.store().remove_retained(topic, WhenAway::kTryAgain, std::move(done));
      }
      front.store().put_retained(message, WhenAway::kTryAgain, std::move(done));
    });
  }
  std::string counted(const std::string& mirror, const std::string& tenant) {
    const std::string counts = redis().keys().mirror(mirror).back();
    const auto reply = redis().ask(counts, {"HMGET", counts, "n/" + tenant, "b/" + tenant});
    return reply.items().at(0).text() + " " + reply.items().at(1).text();
  }
  bool are_counted() {
    const auto names = redis().keys().mirror("retained");
    return redis().ask(names[3], {"HGET", names[3], "ver"}).text() ==
           redis().ask(names[2], {"HGET", names[2], "ver"}).text();
  }

  RedisLine line{redis().redis()};
  RedisFront cut{redis().config(), line.config(200ms), redis().clock};
};
INSTANTIATE_TEST_SUITE_P(Redis, RedisRetained, ::testing::Values(make_single));

TEST_P(RedisRetained, FailsWhileRedisIsAwayAndIsNotHeldByThisFrontAlone) {
  line.cut();
  const auto away = retain(cut, "blue/a", "x");
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(cut.listener().retained().empty());
}

TEST_P(RedisRetained, IsPutOnceRedisIsBackWhereThatWasAskedFor) {
  ASSERT_TRUE(retain(*one, "blue/gone", "x"));
  ASSERT_TRUE(eventually([&] { return cut.listener().retained().size() == 1; }));
  line.cut();
  EXPECT_TRUE(retain_later(cut, "blue/a", "first"));
  EXPECT_TRUE(retain_later(cut, "blue/a", "last"));
  EXPECT_TRUE(retain_later(cut, "blue/gone", ""));
  EXPECT_EQ(one->listener().retained(), (Retained{{"blue/gone", "x"}}));
  line.heal();
  for (FrontUnderTest* front : {one.get(), two.get(), static_cast<FrontUnderTest*>(&cut)}) {
    EXPECT_TRUE(
        eventually([&] { return front->listener().retained() == Retained{{"blue/a", "last"}}; }));
  }
}

TEST_P(RedisRetained, DoesNotUndoWhatAnotherFrontRetainedMeanwhile) {
  ASSERT_TRUE(retain(*one, "blue/a", "before"));
  ASSERT_TRUE(eventually([&] { return cut.listener().retained().size() == 1; }));
  line.cut();
  EXPECT_TRUE(retain_later(cut, "blue/a", "of the one that was cut off"));
  EXPECT_TRUE(retain_later(cut, "blue/b", "of the one that was cut off"));
  ASSERT_TRUE(retain(*one, "blue/a", "after"));
  line.heal();
  const Retained expected{{"blue/a", "after"}, {"blue/b", "of the one that was cut off"}};
  for (FrontUnderTest* front : {one.get(), two.get(), static_cast<FrontUnderTest*>(&cut)}) {
    EXPECT_TRUE(eventually([&] { return front->listener().retained() == expected; }));
  }
}

// Between a front's look at the log and its write there is room for another front's.
TEST_P(RedisRetained, IsLeftAloneWhereItHasChangedSinceAFrontLooked) {
  const auto names = redis().keys().mirror("retained");
  const auto state = [&](const char* field) {
    return redis().ask(names[2], {"HGET", names[2], field}).text();
  };
  ASSERT_TRUE(retain(*one, "blue/a", "looked at"));
  const std::string looked = state("ver");
  ASSERT_TRUE(retain(*one, "blue/a", "changed"));
  const std::string changed = state("ver");
  ASSERT_TRUE(retain(*one, "blue/b", "another"));

  const MirrorScripts scripts;
  const auto remove = [&](const std::string& generation, const std::string& version) {
    return scripts.remove
        .call(redis().client(), names, {"blue/a", "", "blue", "1000", "1", generation, version})
        .value();
  };
  const auto put = [&](const std::string& generation, const std::string& version) {
    return scripts.put
        .call(redis().client(), names,
              {"blue/a", "x", "blue", "1000", "0", "1", generation, version, "9", "", "9999", "",
               "9", "", "9999", ""})
        .value();
  };
  const std::string generation = state("gen");
  const std::string to_come = std::to_string(std::stoi(changed) + 9);
  EXPECT_EQ(remove(generation, looked).integer(), 0);
  EXPECT_EQ(put(generation, looked).integer(), 0);
  for (const auto& [of, version] :
       {std::pair<std::string, std::string>("another life", looked), {generation, to_come}}) {
    EXPECT_EQ(remove(of, version).integer(), -1) << "nobody can tell";
    EXPECT_EQ(put(of, version).integer(), -1);
  }
  EXPECT_EQ(one->listener().retained().at("blue/a"), "changed");
  EXPECT_EQ(remove(generation, changed).items().at(0).text(), generation) << "it is done";
}

TEST_P(RedisRetained, OfAnEarlierReleaseIsCounted) {
  ASSERT_TRUE(retain(*one, "blue/a", "x"));
  ASSERT_TRUE(retain(*one, "blue/b", "xx"));
  ASSERT_TRUE(retain(*one, "red/a", "xxx"));
  const std::string blue = counted("retained", "blue");
  const std::string red = counted("retained", "red");
  EXPECT_TRUE(blue.starts_with("2 ")) << blue;
  EXPECT_TRUE(red.starts_with("1 ")) << red;
  const auto names = redis().keys().mirror("retained");
  redis().ask(names[3], {"DEL", names[3]});
  EXPECT_TRUE(eventually([&] { return counted("retained", "blue") == blue; }));
  EXPECT_TRUE(eventually([&] { return counted("retained", "red") == red; }));

  // A front of an earlier release that still runs changes the data, and counts nothing.
  const std::string value = redis().ask(names[0], {"HGET", names[0], "blue/b"}).text();
  redis().ask(names[0], {"HSET", names[0], "blue/c", value});
  const auto version = redis().ask(names[2], {"HINCRBY", names[2], "ver", "1"}).integer();
  redis().ask(names[1], {"XADD", names[1], std::format("{}-0", version), "f", "blue/c"});
  EXPECT_TRUE(eventually([&] { return counted("retained", "blue").starts_with("3 "); }));
  ASSERT_TRUE(retain(*one, "blue/c", ""));
  EXPECT_TRUE(eventually([&] { return are_counted(); }));
}

TEST_P(RedisRetained, CountsNothingOfATenantThatHasNothing) {
  ASSERT_TRUE(retain(*one, "blue/a", "x"));
  ASSERT_TRUE(wait_for<void>(one->loop(), [&](Done<void> done) {
    one->store().remove_retained("blue/a", WhenAway::kFail, std::move(done));
  }));
  EXPECT_EQ(counted("retained", "blue"), " ");
  EXPECT_TRUE(are_counted());
}

TEST_P(RedisRetained, LeavesRedisWhenItHasExpired) {
  const auto message = std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = "blue/a", .payload = "x", .expires_at = redis().clock.mono() + 300ms});
  ASSERT_TRUE(wait_for<void>(one->loop(), [&](Done<void> done) {
    one->store().put_retained(message, WhenAway::kFail, std::move(done));
  }));
  EXPECT_TRUE(counted("retained", "blue").starts_with("1 "));
  EXPECT_TRUE(eventually([&] { return counted("retained", "blue") == " "; }));
  for (FrontUnderTest* front : {one.get(), two.get()}) {
    EXPECT_TRUE(eventually([&] { return front->listener().retained().empty(); }));
  }
}

TEST_P(RedisRetained, TakesAboutWhatAFrontThinks) {
  ASSERT_TRUE(retain(*one, "blue/some/topic", std::string(500, 'x')));
  const std::string counts = counted("retained", "blue");
  const std::size_t bytes = std::stoul(counts.substr(counts.find(' ')));
  const std::size_t thought =
      retained_bytes("blue", *message_of("some/topic", std::string(500, 'x')));
  EXPECT_LE(thought, bytes) << "a front would refuse what the store has room for";
  EXPECT_LE(bytes, thought + 16);
}

}  // namespace
}  // namespace sluice::front::testing
