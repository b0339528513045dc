#include <sluice/ingest/topic_map.h>

#include <string>
#include <vector>

#include <sluice/mqtt/topic.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::ingest {
namespace {

constexpr DeviceNames kOwn{.tenant = "blue",
                           .device = "d1",
                           .external_id = "press-7",
                           .fleet = "north",
                           .device_class = "meter"};

struct Meaning {
  TopicKind kind;
  bool is_own;
  std::string device;
  std::string name;
  std::string action;
  bool operator==(const Meaning&) const = default;
};
void PrintTo(const Meaning& meaning, std::ostream* out) {
  *out << to_string(meaning.kind) << (meaning.is_own ? " own " : " foreign ") << meaning.device
       << " name=" << meaning.name << " action=" << meaning.action;
}

Meaning meaning_of(std::string_view topic, const DeviceNames& own = kOwn) {
  static const TopicMap map;
  const TopicInfo info = map.classify(own, topic);
  return {info.kind, info.is_own, std::string(info.device), std::string(info.name),
          std::string(info.action)};
}

TEST(TopicMap, KnowsEveryTopicOfADevice) {
  using enum TopicKind;
  const std::pair<const char*, Meaning> cases[] = {
      {"telemetry", {kTelemetry, true, "d1", "", ""}},
      {"telemetry/vibration", {kTelemetry, true, "d1", "vibration", ""}},
      {"telemetry/axis/x", {kTelemetry, true, "d1", "axis/x", ""}},
      {"data", {kTelemetry, true, "d1", "", ""}},
      {"data/vibration", {kTelemetry, true, "d1", "vibration", ""}},
      {"events/door_open", {kEvent, true, "d1", "door_open", ""}},
      {"events", {kOther, true, "d1", "", ""}},
      {"events/", {kOther, true, "d1", "", ""}},
      {"events/a/b", {kOther, true, "d1", "", ""}},
      {"commands", {kCommand, true, "d1", "", ""}},
      {"commands/c1", {kCommand, true, "d1", "c1", ""}},
      {"commands/c1/accepted", {kCommandAnswer, true, "d1", "c1", "accepted"}},
      {"commands/c1/rejected", {kCommandAnswer, true, "d1", "c1", "rejected"}},
      {"commands/c1/result", {kCommandAnswer, true, "d1", "c1", "result"}},
      {"commands/c1/result/x", {kCommand, true, "d1", "c1", "result/x"}},
      {"shadow", {kOther, true, "d1", "", ""}},
      {"shadow/get", {kShadowRequest, true, "d1", "", "get"}},
      {"shadow/update", {kShadowRequest, true, "d1", "", "update"}},
      {"shadow/delete", {kShadowRequest, true, "d1", "", "delete"}},
      {"shadow/update/accepted", {kShadowAnswer, true, "d1", "", "update/accepted"}},
      {"shadow/name/lamp/update", {kShadowRequest, true, "d1", "lamp", "update"}},
      {"shadow/name/lamp/update/delta", {kShadowAnswer, true, "d1", "lamp", "update/delta"}},
      {"shadow/name/lamp", {kOther, true, "d1", "lamp", ""}},
      {"jobs/start-next", {kJobs, true, "d1", "", "start-next"}},
      {"jobs/j1/update", {kJobs, true, "d1", "", "j1/update"}},
      {"certificates/request", {kCertificates, true, "d1", "", "request"}},
      {"something", {kOther, true, "d1", "", ""}},
  };
  for (const auto& [suffix, meaning] : cases) {
    EXPECT_EQ(meaning_of(std::string("tenant/blue/device/d1/") + suffix), meaning) << suffix;
  }
}

TEST(TopicMap, KnowsTheOtherSpellings) {
  using enum TopicKind;
  EXPECT_EQ(meaning_of("north/devices/d1/telemetry"), (Meaning{kTelemetry, true, "d1", "", ""}));
  EXPECT_EQ(meaning_of("north/devices/d1/commands"), (Meaning{kCommand, true, "d1", "", ""}));
  EXPECT_EQ(meaning_of("north/devices/d1/shadow/get"), (Meaning{kOther, false, "", "", ""}));
  EXPECT_EQ(meaning_of("$aws/things/d1/shadow/update"),
            (Meaning{kShadowRequest, true, "d1", "", "update"}));
  EXPECT_EQ(meaning_of("$aws/things/press-7/shadow/name/lamp/get"),
            (Meaning{kShadowRequest, true, "press-7", "lamp", "get"}));
  EXPECT_EQ(meaning_of("$aws/things/press-7/jobs/$next/get"),
            (Meaning{kJobs, true, "press-7", "", "$next/get"}));
  EXPECT_EQ(meaning_of("$aws/things/d1/telemetry"), (Meaning{kOther, false, "", "", ""}));
}

TEST(TopicMap, TellsOwnTopicsFromThoseOfOthers) {
  for (const char* foreign : {"tenant/blue/device/d2/telemetry", "tenant/red/device/d1/telemetry",
                              "south/devices/d1/telemetry", "north/devices/d2/telemetry",
                              "$aws/things/press-8/shadow/get"}) {
    EXPECT_FALSE(meaning_of(foreign).is_own) << foreign;
    EXPECT_NE(meaning_of(foreign).kind, TopicKind::kOther) << foreign;
  }
}

TEST(TopicMap, ANameThatTheDeviceHasNotIsNobodysName) {
  DeviceNames bare = kOwn;
  bare.fleet = {};
  bare.external_id = {};
  EXPECT_FALSE(meaning_of("/devices/d1/telemetry", bare).is_own);
  EXPECT_FALSE(meaning_of("north/devices/d1/telemetry", bare).is_own);
  EXPECT_FALSE(meaning_of("$aws/things//shadow/get", bare).is_own);
}

TEST(TopicMap, LeavesAllOtherTopicsAlone) {
  for (const char* topic : {"", "/", "a", "tenant", "tenant/blue/device", "tenant/blue/device/d1",
                            "Tenant/blue/device/d1/telemetry", "$SYS/x", "sport/tennis"}) {
    EXPECT_EQ(meaning_of(topic).kind, TopicKind::kOther) << topic;
  }
  EXPECT_EQ(meaning_of(std::string(200, '/')).kind, TopicKind::kOther);
}

TEST(TopicMap, SaysWhoseSessionATopicIsFor) {
  const TopicMap map;
  const auto own = map.owner_of("tenant/blue/device/d1/commands");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->tenant, "blue");
  EXPECT_EQ(own->device, "d1");
  EXPECT_FALSE(own->may_be_external_id);
  const auto fleet = map.owner_of("north/devices/d9/commands");
  ASSERT_TRUE(fleet);
  EXPECT_EQ(fleet->tenant, "");
  EXPECT_EQ(fleet->device, "d9");
  const auto thing = map.owner_of("$aws/things/press-7/shadow/update/delta");
  ASSERT_TRUE(thing);
  EXPECT_EQ(thing->device, "press-7");
  EXPECT_TRUE(thing->may_be_external_id);
  EXPECT_FALSE(map.owner_of("sport/tennis"));
  EXPECT_FALSE(map.owner_of("tenant//device/d1/x"));
  EXPECT_FALSE(map.owner_of("tenant/blue/device//x"));
}

TEST(TopicMap, WritesTopics) {
  std::string out = "> ";
  TopicMap().append_topic(kOwn, "commands", out);
  EXPECT_EQ(out, "> tenant/blue/device/d1/commands");
}

TEST(TopicMap, FillsInTheSpellingsOfADevice) {
  std::vector<std::string> aliases;
  for (const auto& spelling : TopicMap().spellings_of(kOwn)) aliases.push_back(spelling.alias);
  EXPECT_EQ(aliases,
            (std::vector<std::string>{"tenant/blue/device/d1/data", "north/devices/d1/telemetry",
                                      "north/devices/d1/commands", "$aws/things/d1/shadow",
                                      "$aws/things/press-7/shadow", "$aws/things/d1/jobs",
                                      "$aws/things/press-7/jobs", "$aws/things/d1/certificates",
                                      "$aws/things/press-7/certificates"}));
  DeviceNames bare = kOwn;
  bare.fleet = {};
  bare.external_id = {};
  EXPECT_EQ(TopicMap().spellings_of(bare).size(), 4U);
}

// Whatever a name is made of, it stands for one literal level or for nothing.
TEST(TopicMap, NeverLetsANameBecomeAPattern) {
  testing::SimRandom random(11);
  constexpr std::string_view kCharacters = "ab/+#${} \"*?[](.)\\";
  const TopicMap map;
  for (int round = 0; round < 5000; ++round) {
    std::string names[3];
    for (std::string& name : names) {
      for (auto size = random.below(4); size > 0; --size) {
        name += kCharacters[random.below(kCharacters.size())];
      }
    }
    const DeviceNames own{
        .tenant = "blue", .device = names[0], .external_id = names[1], .fleet = names[2]};
    for (const auto& spelling : map.spellings_of(own)) {
      EXPECT_TRUE(mqtt::is_valid_topic(spelling.alias)) << spelling.alias;
      EXPECT_TRUE(mqtt::is_valid_topic(spelling.canonical)) << spelling.canonical;
      EXPECT_TRUE(map.classify(own, spelling.alias + (spelling.with_below ? "/x" : "")).is_own);
    }
  }
}

TEST(TopicMap, TakesSpellingsFromItsSettings) {
  TopicMapSettings settings;
  settings.root = "iot/{tenant}/{class}/{device}";
  settings.aliases = {{"v1/devices/me/telemetry", "telemetry"},
                      {"up/{external_id}/alarms", "events/alarm"},
                      {"{device}/s/#", "shadow/#"}};
  const auto map = TopicMap::compile(settings);
  ASSERT_TRUE(map) << map.error().message();
  EXPECT_EQ(map->classify(kOwn, "iot/blue/meter/d1/telemetry").kind, TopicKind::kTelemetry);
  EXPECT_TRUE(map->classify(kOwn, "iot/blue/meter/d1/telemetry").is_own);
  EXPECT_FALSE(map->classify(kOwn, "iot/blue/lamp/d1/telemetry").is_own);
  const TopicInfo mine = map->classify(kOwn, "v1/devices/me/telemetry");
  EXPECT_EQ(mine.kind, TopicKind::kTelemetry);
  EXPECT_TRUE(mine.is_own);
  EXPECT_FALSE(map->owner_of("v1/devices/me/telemetry"));
  const TopicInfo alarm = map->classify(kOwn, "up/press-7/alarms");
  EXPECT_EQ(alarm.kind, TopicKind::kEvent);
  EXPECT_EQ(alarm.name, "alarm");
  EXPECT_EQ(map->classify(kOwn, "d1/s/name/lamp/get").name, "lamp");
}

TEST(TopicMap, RefusesTemplatesThatCannotBeUsed) {
  const auto faults_of = [](const TopicMapSettings& settings) {
    const auto map = TopicMap::compile(settings);
    return map ? 0U : map.error().faults().size();
  };
  for (const char* root : {"tenant/{tenant}", "x/{device}y", "x/{device}/#", "", "$x/{device}",
                           "x/{colour}/{device}", "{thing}/{device}"}) {
    EXPECT_EQ(faults_of({.root = root}), 1U) << root;
  }
  const TopicAlias bad[] = {{"a/#", "telemetry"},
                            {"a", "telemetry/#"},
                            {"a/+/b", "telemetry"},
                            {"{device", "telemetry"},
                            {"a", ""},
                            {"a", "{device}/x"},
                            {"a/#", "shadow/name/#"}};
  for (const TopicAlias& alias : bad) {
    EXPECT_EQ(faults_of({.aliases = {alias}}), 1U) << alias.spelling << " " << alias.meaning;
  }
  TopicMapSettings many;
  many.aliases.assign(TopicMap::kMaxAliases + 1, {"{device}/t", "telemetry"});
  EXPECT_FALSE(TopicMap::compile(many));
}

}  // namespace
}  // namespace sluice::ingest
