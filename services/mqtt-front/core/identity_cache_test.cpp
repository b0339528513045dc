#include "core/identity_cache.h"

#include <format>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sluice/device/v1/device_registry.pb.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using Step = IdentityCache::Begun::Step;
using Kind = Verdict::Kind;
using Scope = DeviceChange::Scope;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kRevoked = device::v1::REFUSAL_REASON_CREDENTIAL_REVOKED;

CredentialKey key_of(std::uint32_t number) {
  CredentialKey key{};
  for (std::size_t i = 0; i < 4; ++i) key[i] = static_cast<std::byte>(number >> (8 * i));
  return key;
}

struct IdentityParts {
  std::string device = "d1";
  std::int64_t revision = 5;
  std::uint32_t ttl_seconds = 60;
  std::optional<WallTime> expires_at{};
  std::string tenant = "blue";
  std::string device_class = "meter";
  std::string topic_policy = "strict";
  std::int64_t class_revision = 0;
  std::int64_t policy_revision = 0;
};

IdentityPtr identity(const IdentityParts& parts = {}) {
  auto made = std::make_shared<Identity>();
  made->tenant = TenantId(parts.tenant);
  made->device = DeviceId(parts.device);
  made->device_class = DeviceClassId(parts.device_class);
  made->topic_policy = parts.topic_policy;
  made->revision = parts.revision;
  made->class_revision = parts.class_revision;
  made->policy_revision = parts.policy_revision;
  made->cache_ttl_seconds = parts.ttl_seconds;
  made->credential_expires_at = parts.expires_at;
  made->session = session_key(parts.tenant, parts.device);
  return made;
}

class IdentityCacheTest : public ::testing::Test {
 protected:
  IdentityCache::Now now() const { return {.wall = clock.wall(), .mono = clock.mono()}; }
  IdentityCache::Begun begin(std::uint32_t number = 1) {
    IdentityCache::Waiter waiter = [this](const Verdict& verdict) { told.push_back(verdict); };
    return cache->begin(key_of(number), now(), waiter);
  }
  Verdict answer(const IdentityPtr& with, std::uint32_t number = 1) {
    return cache->complete(key_of(number), with, now());
  }
  /// Asks and answers.
  void put(const IdentityPtr& with, std::uint32_t number = 1) {
    ASSERT_EQ(begin(number).step, Step::kAsk);
    ASSERT_EQ(answer(with, number).kind, Kind::kIdentity);
  }
  bool is_cached(std::uint32_t number = 1) {
    const auto begun = begin(number);
    if (begun.step == Step::kAsk) cache->fail(key_of(number), now());
    return begun.step == Step::kAnswered && begun.verdict.kind == Kind::kIdentity &&
           !begun.verdict.is_stale;
  }
  /// Whether it is served when the registry cannot be asked.
  bool is_served_stale(std::uint32_t number = 1) {
    const auto begun = begin(number);
    const Verdict verdict =
        begun.step == Step::kAsk ? cache->fail(key_of(number), now()) : begun.verdict;
    return verdict.kind == Kind::kIdentity && verdict.is_stale;
  }
  void remake(const IdentityCache::Settings& settings) {
    cache = std::make_unique<IdentityCache>(settings);
  }

  testing::SimClock clock;
  std::unique_ptr<IdentityCache> cache = std::make_unique<IdentityCache>(IdentityCache::Settings{});
  std::vector<Verdict> told;
};

TEST_F(IdentityCacheTest, ServesAnAnswerUntilItsTimeIsOver) {
  const IdentityPtr made = identity();
  put(made);
  clock.advance(milliseconds(59'999));
  const auto begun = begin();
  ASSERT_EQ(begun.step, Step::kAnswered);
  EXPECT_EQ(begun.verdict.identity, made);
  EXPECT_FALSE(begun.verdict.is_stale);
  clock.advance(milliseconds(1));
  EXPECT_FALSE(is_cached());
}

TEST_F(IdentityCacheTest, TakesItsOwnTimeWhereTheRegistrySaysNoneAndNeverMoreThanItsMost) {
  put(identity({.ttl_seconds = 0}), 1);
  put(identity({.ttl_seconds = 1'000'000}), 2);
  clock.advance(seconds(60));
  EXPECT_FALSE(is_cached(1));
  EXPECT_TRUE(is_cached(2));
  clock.advance(seconds(3600 - 60));
  EXPECT_FALSE(is_cached(2));
}

TEST_F(IdentityCacheTest, ServesPastItsTimeOnlyWhileTheRegistryCannotAnswer) {
  put(identity());
  clock.advance(hours(23));
  EXPECT_FALSE(is_cached());
  EXPECT_TRUE(is_served_stale());
  EXPECT_TRUE(is_served_stale());
  clock.advance(hours(1));
  EXPECT_FALSE(is_served_stale());
}

// A registry that hangs is waited for by one known device in a while, not by each.
TEST_F(IdentityCacheTest, LetsKnownDevicesInAtOnceAfterTheRegistryDidNotAnswer) {
  remake({.failure_pause = seconds(1)});
  put(identity({.device = "d1"}), 1);
  put(identity({.device = "d2"}), 2);
  clock.advance(seconds(60));
  ASSERT_EQ(begin(1).step, Step::kAsk);
  ASSERT_EQ(begin(2).step, Step::kAsk);
  cache->fail(key_of(1), now());
  for (const std::uint32_t number : {1U, 2U}) {  // the second although it is being asked about
    const auto begun = begin(number);
    ASSERT_EQ(begun.step, Step::kAnswered) << number;
    EXPECT_TRUE(begun.verdict.is_stale) << number;
  }
  EXPECT_EQ(begin(3).step, Step::kAsk) << "nobody knows it";
  clock.advance(seconds(1));
  EXPECT_EQ(begin(1).step, Step::kAsk) << "whether the registry is back";
  EXPECT_EQ(begin(1).step, Step::kAnswered) << "one trial is enough";
  answer(identity({.device = "d3"}), 3);
  EXPECT_EQ(begin(2).step, Step::kWait) << "the registry answers again";
}

TEST_F(IdentityCacheTest, TellsWhetherAQuestionIsAboutSomebodyWhoMayBeLetInWithoutAnAnswer) {
  EXPECT_FALSE(begin().is_known);
  answer(identity());
  clock.advance(hours(23));
  EXPECT_TRUE(begin().is_known);
  cache->fail(key_of(1), now());
  clock.advance(hours(1));
  EXPECT_FALSE(begin().is_known);
}

TEST_F(IdentityCacheTest, KeepsADeviceOutWhoseAnswerMakesNoSense) {
  put(identity());
  clock.advance(seconds(60));
  ASSERT_EQ(begin().step, Step::kAsk);
  ASSERT_EQ(begin().step, Step::kWait);
  EXPECT_EQ(cache->complete_unusable(key_of(1)).kind, Kind::kUnavailable);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::kUnavailable);
  EXPECT_FALSE(is_served_stale());
}

TEST_F(IdentityCacheTest, KnowsNobodyItNeverAskedAbout) {
  ASSERT_EQ(begin().step, Step::kAsk);
  EXPECT_EQ(cache->fail(key_of(1), now()).kind, Kind::kUnavailable);
}

TEST_F(IdentityCacheTest, NeverServesACredentialThatHasExpired) {
  put(identity({.expires_at = clock.wall() + seconds(30)}));
  clock.advance(milliseconds(29'999));
  EXPECT_TRUE(is_cached());
  clock.advance(milliseconds(1));
  EXPECT_FALSE(is_served_stale());
  ASSERT_EQ(begin().step, Step::kAsk);
  const Verdict verdict = answer(identity({.expires_at = clock.wall()}));
  EXPECT_EQ(verdict.kind, Kind::kRefused);
  EXPECT_EQ(verdict.refusal, device::v1::REFUSAL_REASON_CREDENTIAL_EXPIRED);
  EXPECT_FALSE(is_cached());
}

TEST_F(IdentityCacheTest, RemembersARefusalBriefly) {
  put(identity());
  clock.advance(seconds(60));
  ASSERT_EQ(begin().step, Step::kAsk);
  cache->complete_refused(key_of(1), kRevoked, now());
  const auto begun = begin();
  ASSERT_EQ(begun.step, Step::kAnswered);
  EXPECT_EQ(begun.verdict.kind, Kind::kRefused);
  EXPECT_EQ(begun.verdict.refusal, kRevoked);
  clock.advance(seconds(5));
  EXPECT_FALSE(is_served_stale());  // what was known before is not used any more
}

TEST_F(IdentityCacheTest, ForgetsWhatADeviceChangeEnds) {
  const std::pair<DeviceChange, bool> cases[] = {
      {{.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6}, true},
      {{.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .is_gone = true}, true},
      {{.scope = Scope::kDevice,
        .tenant = "blue",
        .name = "d1",
        .revision = 6,
        .end_reason = "device_revoked"},
       true},
      {{.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 6}, true},
      {{.scope = Scope::kTopicPolicy, .tenant = "blue", .name = "strict", .revision = 2}, true},
      {{.scope = Scope::kTenant, .tenant = "blue", .revision = 6, .end_reason = "tenant_suspended"},
       true},
      // A state that the identity was made from, and things of others.
      {{.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 5}, false},
      {{.scope = Scope::kDevice, .tenant = "blue", .name = "d2", .revision = 6}, false},
      {{.scope = Scope::kDevice, .tenant = "red", .name = "d1", .revision = 6}, false},
      {{.scope = Scope::kDeviceClass, .tenant = "red", .name = "meter", .revision = 6}, false},
      {{.scope = Scope::kTopicPolicy, .tenant = "blue", .name = "", .revision = 6}, false},
      {{.scope = Scope::kTenant, .tenant = "blue", .revision = 6}, false},
  };
  for (const auto& [change, ends] : cases) {
    remake({});
    put(identity());
    EXPECT_TRUE(cache->on_change(change));
    EXPECT_EQ(is_cached(), !ends) << change.name << change.revision;
    clock.advance(seconds(60));
    EXPECT_EQ(is_served_stale(), !ends) << change.name << change.revision;
  }
}

TEST_F(IdentityCacheTest, IgnoresAStateThatCameLate) {
  const DeviceChange later{.scope = Scope::kTenant, .tenant = "blue", .revision = 9};
  const DeviceChange earlier{
      .scope = Scope::kTenant, .tenant = "blue", .revision = 8, .end_reason = "tenant_suspended"};
  EXPECT_TRUE(cache->on_change(later));
  put(identity());
  EXPECT_FALSE(cache->on_change(earlier));
  EXPECT_FALSE(cache->on_change(later));
  EXPECT_TRUE(is_cached());
}

// The registry read before the change, the front heard of the change before the answer.
TEST_F(IdentityCacheTest, DoesNotBelieveAnAnswerThatAChangeHasCrossed) {
  const DeviceChange changes[] = {
      {.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6},
      {.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .is_gone = true},
      {.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 60},
      {.scope = Scope::kTopicPolicy, .tenant = "blue", .name = "strict", .revision = 60},
      {.scope = Scope::kTenant,
       .tenant = "blue",
       .revision = 60,
       .end_reason = "tenant_suspended"}};
  for (const DeviceChange& change : changes) {
    remake({});
    told.clear();
    ASSERT_EQ(begin().step, Step::kAsk);
    ASSERT_EQ(begin().step, Step::kWait);
    EXPECT_TRUE(cache->on_change(change));
    EXPECT_EQ(answer(identity()).kind, Kind::kAskAgain);
    EXPECT_TRUE(told.empty()) << "it waits for the next answer";
    // Asked again, the registry knows.
    EXPECT_EQ(answer(identity({.revision = 7})).kind, Kind::kIdentity);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].identity->revision, 7);
    EXPECT_TRUE(is_cached());
  }
}

TEST_F(IdentityCacheTest, DoesNotBelieveARegistryThatLagsBehindTheChange) {
  EXPECT_TRUE(
      cache->on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6}));
  ASSERT_EQ(begin().step, Step::kAsk);
  EXPECT_EQ(answer(identity({.revision = 5})).kind, Kind::kAskAgain);
  EXPECT_EQ(answer(identity({.revision = 5})).kind, Kind::kAskAgain);
  EXPECT_EQ(cache->fail(key_of(1), now()).kind, Kind::kUnavailable);
  EXPECT_FALSE(is_served_stale());
}

// A new class, its policy and its first device: their records may come between question and answer,
// or after it.
TEST_F(IdentityCacheTest, BelievesAnAnswerThatWasMadeFromTheChange) {
  const DeviceChange changes[] = {
      {.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 7},
      {.scope = Scope::kTopicPolicy, .tenant = "blue", .name = "strict", .revision = 9}};
  const IdentityPtr made = identity({.class_revision = 7, .policy_revision = 9});
  ASSERT_EQ(begin().step, Step::kAsk);
  for (const DeviceChange& change : changes) EXPECT_TRUE(cache->on_change(change));
  EXPECT_EQ(answer(made).kind, Kind::kIdentity);
  remake({});
  put(made);
  for (const DeviceChange& change : changes) EXPECT_TRUE(cache->on_change(change));
  EXPECT_TRUE(is_cached());
}

TEST_F(IdentityCacheTest, DoesNotBelieveAnAnswerMadeFromAnOlderClassOrPolicy) {
  const DeviceChange changes[] = {
      {.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 8},
      {.scope = Scope::kTopicPolicy, .tenant = "blue", .name = "strict", .revision = 10}};
  const IdentityPtr made = identity({.class_revision = 7, .policy_revision = 9});
  for (const DeviceChange& change : changes) {
    remake({});
    put(made);
    EXPECT_TRUE(cache->on_change(change));
    EXPECT_FALSE(is_cached());
    // A registry that lags, asked after the change.
    ASSERT_EQ(begin().step, Step::kAsk);
    EXPECT_EQ(answer(made).kind, Kind::kAskAgain);
  }
}

TEST_F(IdentityCacheTest, DoubtsAnswersWhoseChangesItMayHaveForgotten) {
  remake({.max_changes = 2});
  ASSERT_EQ(begin().step, Step::kAsk);
  cache->on_change(
      {.scope = Scope::kDeviceClass, .tenant = "blue", .name = "meter", .revision = 9});
  for (int i = 0; i < 3; ++i) {
    cache->on_change(
        {.scope = Scope::kDevice, .tenant = "red", .name = std::format("x{}", i), .revision = 10});
  }
  EXPECT_EQ(answer(identity()).kind, Kind::kAskAgain);
  EXPECT_EQ(answer(identity()).kind, Kind::kIdentity);
}

TEST_F(IdentityCacheTest, MakesOneQuestionOfMany) {
  ASSERT_EQ(begin().step, Step::kAsk);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(begin().step, Step::kWait);
  ASSERT_EQ(begin(2).step, Step::kAsk);
  EXPECT_EQ(cache->stats().waiters, 5U);
  const IdentityPtr made = identity();
  answer(made);
  ASSERT_EQ(told.size(), 5U);
  for (const Verdict& verdict : told) EXPECT_EQ(verdict.identity, made);
  told.clear();
  ASSERT_EQ(begin(2).step, Step::kWait);
  cache->fail(key_of(2), now());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::kUnavailable);
  EXPECT_EQ(cache->stats().waiters, 0U);
  EXPECT_EQ(cache->stats().questions, 0U);
}

TEST_F(IdentityCacheTest, LetsAWaiterAskAgainFromWithin) {
  ASSERT_EQ(begin().step, Step::kAsk);
  std::optional<Step> second;
  IdentityCache::Waiter waiter = [&](const Verdict&) { second = begin().step; };
  ASSERT_EQ(cache->begin(key_of(1), now(), waiter).step, Step::kWait);
  cache->fail(key_of(1), now());
  EXPECT_EQ(second, Step::kAsk);
}

TEST_F(IdentityCacheTest, TellsOfChangesSinceItHandedAnIdentityOut) {
  put(identity());
  const auto given = begin().verdict;
  EXPECT_FALSE(cache->has_changed(*given.identity, given.position));
  cache->on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "other", .revision = 6});
  EXPECT_FALSE(cache->has_changed(*given.identity, given.position));
  cache->on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 5});
  EXPECT_FALSE(cache->has_changed(*given.identity, given.position)) << "it is made from that one";
  cache->on_change({.scope = Scope::kDevice, .tenant = "blue", .name = "d1", .revision = 6});
  EXPECT_TRUE(cache->has_changed(*given.identity, given.position));
  ASSERT_EQ(begin().step, Step::kAsk);
  const Verdict anew = answer(identity({.revision = 6}));
  EXPECT_FALSE(cache->has_changed(*anew.identity, anew.position));
  cache->on_change(
      {.scope = Scope::kTenant, .tenant = "blue", .revision = 7, .end_reason = "tenant_suspended"});
  EXPECT_TRUE(cache->has_changed(*anew.identity, anew.position));
}

TEST_F(IdentityCacheTest, BoundsQuestionsAndWaiters) {
  remake({.max_questions = 2, .max_waiters = 3});
  ASSERT_EQ(begin(1).step, Step::kAsk);
  ASSERT_EQ(begin(2).step, Step::kAsk);
  EXPECT_EQ(begin(3).step, Step::kFull);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(begin(1).step, Step::kWait);
  EXPECT_EQ(begin(2).step, Step::kFull);
}

TEST_F(IdentityCacheTest, EvictsTheIdentityThatWasNotUsedForLongest) {
  remake({.max_identities = 3});
  for (std::uint32_t i = 1; i <= 3; ++i) put(identity({.device = std::format("d{}", i)}), i);
  EXPECT_TRUE(is_cached(1));
  put(identity({.device = "d4"}), 4);
  EXPECT_TRUE(is_cached(1));
  EXPECT_FALSE(is_cached(2));
  EXPECT_EQ(cache->stats().evicted, 1U);
}

TEST_F(IdentityCacheTest, IsNotEmptiedByGuessedCredentials) {
  remake({.max_identities = 3, .max_refusals = 10});
  put(identity());
  for (std::uint32_t i = 100; i < 1100; ++i) {
    ASSERT_EQ(begin(i).step, Step::kAsk);
    cache->complete_refused(key_of(i), kRevoked, now());
  }
  EXPECT_TRUE(is_cached());
  EXPECT_LE(cache->stats().refusals, 10U);
}

TEST_F(IdentityCacheTest, IsForAllThreads) {
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      testing::SimRandom random(t);
      for (int i = 0; i < 3000; ++i) {
        const auto number = static_cast<std::uint32_t>(random.below(8));
        const std::string device = std::format("d{}", number);
        if (random.chance(0.1)) {
          cache->on_change(
              {.scope = Scope::kDevice, .tenant = "blue", .name = device, .revision = i});
          continue;
        }
        IdentityCache::Waiter waiter = [](const Verdict&) {};
        if (cache->begin(key_of(number), now(), waiter).step != Step::kAsk) continue;
        const IdentityPtr made = identity({.device = device, .revision = i});
        if (cache->complete(key_of(number), made, now()).kind == Kind::kAskAgain) {
          cache->fail(key_of(number), now());
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(cache->stats().questions, 0U);
  EXPECT_EQ(cache->stats().waiters, 0U);
}

// A registry in small, whose answers take their time and whose records come late and again. What
// may be served is whatever it would have said at or after the last state that the front was told.
class Model {
 public:
  explicit Model(testing::SimRandom& random) : random_(random) {}

  struct Device {
    std::int64_t revision = 1;
    bool is_active = true;
    std::string device_class = "c0";
    std::optional<WallTime> expires_at{};
  };

  void change_something(WallTime now) {
    const auto pick = random_.below(10);
    if (pick == 0) {
      const std::string name = std::format("c{}", random_.below(2));
      classes[name] = ++revision_;
      to_tell.push_back(
          {.scope = Scope::kDeviceClass, .tenant = "blue", .name = name, .revision = revision_});
      return;
    }
    const std::string name = std::format("d{}", random_.below(4));
    Device& device = devices[name];
    device.revision = ++revision_;
    device.is_active = random_.chance(0.7);
    device.device_class = std::format("c{}", random_.below(2));
    device.expires_at.reset();
    if (random_.chance(0.3)) device.expires_at = now + seconds(random_.below(200));
    to_tell.push_back({.scope = Scope::kDevice,
                       .tenant = "blue",
                       .name = name,
                       .revision = revision_,
                       .end_reason = device.is_active ? "" : "device_inactive"});
  }

  /// What the registry says now; nullptr: refused. The class's revision travels as the policy's
  /// name, so that the test sees from an identity how old it is.
  IdentityPtr look_up(const std::string& name) {
    const Device& device = devices[name];
    if (!device.is_active) return nullptr;
    return identity({.device = name,
                     .revision = device.revision,
                     .ttl_seconds = 20,
                     .expires_at = device.expires_at,
                     .device_class = device.device_class,
                     .topic_policy = std::to_string(classes[device.device_class])});
  }

  std::map<std::string, Device> devices;
  std::map<std::string, std::int64_t> classes;
  std::vector<DeviceChange> to_tell;

 private:
  testing::SimRandom& random_;
  std::int64_t revision_ = 10;
};

TEST_F(IdentityCacheTest, NeverServesAnIdentityAfterItsChangeOrItsExpiry) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    testing::SimRandom random(seed);
    Model model(random);
    remake({.max_identities = 3,
            .max_changes = seed % 3 == 0 ? 2U : 1000U,
            .stale_max = seconds(300)});
    std::map<std::string, std::int64_t> told_of;             // "d1", "c0" -> revision
    std::map<std::uint32_t, IdentityPtr> answers_under_way;  // null: refusal
    std::map<std::uint32_t, MonoTime> answered_at;
    std::size_t served = 0;

    const auto check = [&](std::uint32_t number, const Verdict& verdict) {
      if (verdict.kind != Kind::kIdentity) return;
      ++served;
      const Identity& got = *verdict.identity;
      ASSERT_EQ(got.device.value(), std::format("d{}", number)) << "seed " << seed;
      ASSERT_GE(got.revision, told_of[got.device.value()]) << "seed " << seed;
      ASSERT_GE(std::stoll(got.topic_policy), told_of[got.device_class.value()]) << "seed " << seed;
      ASSERT_FALSE(got.has_expired(clock.wall())) << "seed " << seed;
      const seconds age = std::chrono::duration_cast<seconds>(clock.mono() - answered_at[number]);
      ASSERT_LE(age, verdict.is_stale ? seconds(300) : seconds(20)) << "seed " << seed;
    };
    for (int step = 0; step < 800; ++step) {
      const auto number = static_cast<std::uint32_t>(random.below(4));
      const std::string name = std::format("d{}", number);
      switch (random.below(6)) {
        case 0:
          model.change_something(clock.wall());
          break;
        case 1:  // a record arrives; at times again, at times an older one after a newer
          if (!model.to_tell.empty()) {
            const auto at = random.below(std::min<std::size_t>(model.to_tell.size(), 3));
            const DeviceChange change = model.to_tell[at];
            cache->on_change(change);
            told_of[change.name] = std::max(told_of[change.name], change.revision);
            if (random.chance(0.8)) {
              model.to_tell.erase(model.to_tell.begin() + static_cast<std::ptrdiff_t>(at));
            }
          }
          break;
        case 2:
          clock.advance(milliseconds(random.below(15'000)));
          break;
        case 3:  // an answer arrives
          if (const auto it = answers_under_way.find(number); it != answers_under_way.end()) {
            const IdentityPtr got = it->second;
            answers_under_way.erase(it);
            if (got == nullptr) {
              cache->complete_refused(key_of(number), kRevoked, now());
            } else {
              const Verdict verdict = cache->complete(key_of(number), got, now());
              if (verdict.kind == Kind::kIdentity) answered_at[number] = clock.mono();
              if (verdict.kind == Kind::kAskAgain) answers_under_way[number] = model.look_up(name);
              check(number, verdict);
            }
          }
          break;
        default: {
          IdentityCache::Waiter waiter = [&, number](const Verdict& verdict) {
            if (verdict.kind == Kind::kIdentity && !verdict.is_stale) {
              answered_at[number] = clock.mono();
            }
            check(number, verdict);
          };
          const auto begun = cache->begin(key_of(number), now(), waiter);
          if (begun.step == Step::kAnswered) check(number, begun.verdict);
          if (begun.step != Step::kAsk) break;
          if (random.chance(0.3)) {
            check(number, cache->fail(key_of(number), now()));
          } else {
            answers_under_way[number] = model.look_up(name);
          }
        }
      }
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(served, 20U) << "seed " << seed;  // or the model has tested nothing
  }
}

}  // namespace
}  // namespace sluice::front
