#include <sluice/config/settings.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Environment = std::map<std::string, std::string>;

constexpr std::string_view kPlantedSecret = "hunter2-planted";

/// A file of this test alone, removed with it.
class TempFile {
 public:
  explicit TempFile(std::string_view content)
      : path_(std::format("{}settings_test_{}_{}", ::testing::TempDir(), getpid(), ++count_)) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TempFile() { std::remove(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::string path_;
};

/// One setting of each kind.
struct Everything {
  std::string mode;
  std::string url;
  std::vector<std::string> brokers;
  std::int64_t rows = 0;
  double ratio = 0;
  bool is_on = false;
  std::chrono::milliseconds wait{0};
  Bytes buffer;
  std::string listen;
  std::string extra_listen;
  Secret password;

  void declare(Settings& settings) {
    settings.text("mode", &mode, "single", {.required = true, .one_of = {"single", "cluster"}},
                  "Mode.");
    settings.text("url", &url, "", {.max_size = 20}, "Where | what.");
    settings.text_list("brokers", &brokers, {"a:1", "b:2"}, {}, "Brokers.");
    settings.integer("batch_rows", &rows, 5000, {.min = 1, .max = 100'000}, "Rows.");
    settings.number("ratio", &ratio, 0.5, {.min = 0, .max = 1}, "Ratio.");
    settings.boolean("is_on", &is_on, false, "On.");
    settings.duration("wait", &wait, 5s, {.min = 10ms, .max = 1min}, "Wait.");
    settings.bytes("buffer", &buffer, 16_KiB, {.min = Bytes{1}, .max = 1_MiB}, "Buffer.");
    settings.listen_address("listen", &listen, "127.0.0.1:0", "Listen.");
    settings.listen_address("extra_listen", &extra_listen, "", "Listen too.");
    settings.secret_file("password_file", &password, false, "Password.");
  }
};

/// Settings with their struct, read from a text and an environment.
struct Loaded {
  explicit Loaded(std::string_view yaml, const Environment& environment = {}) {
    values.declare(settings);
    result = settings.load(yaml, environment);
  }
  std::vector<FieldFault> faults() const {
    return result ? std::vector<FieldFault>() : result.error().faults();
  }
  Everything values;
  Settings settings;
  Result<> result;
};

auto fault(std::string field, auto message) {
  return AllOf(Field(&FieldFault::field, std::move(field)), Field(&FieldFault::message, message));
}

TEST(Settings, KeepDefaultsWhereNothingIsSaid) {
  const Loaded loaded("");
  ASSERT_TRUE(loaded.result) << loaded.result.error().message();
  EXPECT_EQ(loaded.values.mode, "single");
  EXPECT_THAT(loaded.values.brokers, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(loaded.values.rows, 5000);
  EXPECT_EQ(loaded.values.wait, 5s);
  EXPECT_EQ(loaded.values.buffer, 16_KiB);
  EXPECT_TRUE(loaded.values.password.empty());
}

TEST(Settings, AreReadFromTheFile) {
  const Loaded loaded(R"(
# A comment.
mode: cluster
brokers: [x:1, "y:2"]
batch_rows: 7
ratio: 0.25
is_on: true
wait: 250ms
buffer: 512
listen: "[::1]:8081"
)");
  ASSERT_TRUE(loaded.result) << loaded.faults().front().message;
  EXPECT_EQ(loaded.values.mode, "cluster");
  EXPECT_THAT(loaded.values.brokers, ElementsAre("x:1", "y:2"));
  EXPECT_EQ(loaded.values.rows, 7);
  EXPECT_EQ(loaded.values.ratio, 0.25);
  EXPECT_TRUE(loaded.values.is_on);
  EXPECT_EQ(loaded.values.wait, 250ms);
  EXPECT_EQ(loaded.values.buffer, Bytes{512});
  EXPECT_EQ(loaded.values.listen, "[::1]:8081");
}

TEST(Settings, TheEnvironmentWinsOverTheFile) {
  const Loaded loaded("batch_rows: 7\nratio: 0.25\n",
                      {{"SLUICE_BATCH_ROWS", "8"}, {"SLUICE_BROKERS", "m:1, n:2"}});
  ASSERT_TRUE(loaded.result);
  EXPECT_EQ(loaded.values.rows, 8);
  EXPECT_EQ(loaded.values.ratio, 0.25);
  EXPECT_THAT(loaded.values.brokers, ElementsAre("m:1", "n:2"));
}

TEST(Settings, TellEveryFaultAtOnceWithItsSource) {
  const Loaded loaded("batch_rows: 0\nwait: 5\nmode: clutser\nbath_rows: 1\n",
                      {{"SLUICE_RATIO", "2"}, {"SLUICE_LISTNE", "x"}, {"SLUICE_IS_ON", "yes"}});
  EXPECT_THAT(
      loaded.faults(),
      ::testing::UnorderedElementsAre(
          fault("batch_rows", AllOf(HasSubstr("less than 1"), HasSubstr("line 1"))),
          fault("wait", AllOf(HasSubstr("not a duration"), HasSubstr("line 2"))),
          fault("mode", AllOf(HasSubstr("did you mean cluster"), HasSubstr("line 3"))),
          fault("bath_rows", AllOf(HasSubstr("did you mean batch_rows"), HasSubstr("line 4"))),
          fault("ratio", AllOf(HasSubstr("more than 1"), HasSubstr("SLUICE_RATIO"))),
          fault("is_on", AllOf(HasSubstr("neither true nor false"), HasSubstr("SLUICE_IS_ON"))),
          fault("SLUICE_LISTNE", HasSubstr("did you mean SLUICE_LISTEN"))));
}

TEST(Settings, LetVariablesOfTestsAndToolchainThrough) {
  const Loaded loaded("", {{"SLUICE_TEST_KAFKA_BROKERS", "x"},
                           {"SLUICE_CRASH_POINT", "x"},
                           {"SLUICE_PLANTED_BUG", "x"},
                           {"SLUICE_CACHE", "x"},
                           {"SLUICE_TOOLCHAIN", "x"},
                           {"PATH", "x"}});
  EXPECT_THAT(loaded.faults(), IsEmpty());
}

TEST(Settings, RefuseValuesOutOfBounds) {
  const auto refuses = [](std::string_view yaml) { return !Loaded(yaml).result; };
  EXPECT_FALSE(refuses("batch_rows: 1"));
  EXPECT_FALSE(refuses("batch_rows: 100000"));
  EXPECT_TRUE(refuses("batch_rows: 100001"));
  EXPECT_TRUE(refuses("batch_rows: -1"));
  EXPECT_TRUE(refuses("wait: 9ms"));
  EXPECT_TRUE(refuses("wait: 61s"));
  EXPECT_TRUE(refuses("buffer: 0"));
  EXPECT_TRUE(refuses("buffer: 2MiB"));
  EXPECT_TRUE(refuses("ratio: -0.1"));
  EXPECT_TRUE(refuses("url: aaaaaaaaaaaaaaaaaaaaa"));
  EXPECT_FALSE(refuses("url: aaaaaaaaaaaaaaaaaaaa"));
}

TEST(Settings, RefuseControlCharactersAndBrokenUtf8) {
  EXPECT_THAT(Loaded("", {{"SLUICE_URL", "a\nb"}}).faults(),
              ElementsAre(fault("url", HasSubstr("control character"))));
  EXPECT_THAT(Loaded("", {{"SLUICE_URL", "a\xFF"}}).faults(),
              ElementsAre(fault("url", HasSubstr("UTF-8"))));
}

TEST(Settings, AnEmptyListenAddressIsForThoseThatMayBeOff) {
  EXPECT_THAT(Loaded("extra_listen: \"\"").faults(), IsEmpty());
  EXPECT_THAT(Loaded("listen: \"\"").faults(),
              ElementsAre(fault("listen", HasSubstr("not an address"))));
}

TEST(Settings, WhatIsRequiredAndMissingNamesItsVariable) {
  std::string url;
  Settings settings;
  settings.text("url", &url, "", {.required = true}, "Where.");
  const auto result = settings.load("", {});
  ASSERT_FALSE(result);
  EXPECT_THAT(
      result.error().faults(),
      ElementsAre(fault("url", AllOf(HasSubstr("must not be empty"), HasSubstr("SLUICE_URL")))));
}

TEST(Settings, RulesAreCheckedAfterAllAreRead) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const auto load = [&](std::string_view yaml) {
    Settings settings;
    settings.integer("low", &low, 1, {}, "Low.");
    settings.integer("high", &high, 2, {}, "High.");
    settings.rule([&] {
      std::vector<FieldFault> faults;
      if (low > high) faults.push_back({"low", "must not exceed high"});
      return faults;
    });
    const auto result = settings.load(yaml, {});
    return result ? std::vector<FieldFault>() : result.error().faults();
  };
  EXPECT_THAT(load("low: 3\nhigh: 4"), IsEmpty());
  EXPECT_THAT(load("low: 3"), ElementsAre(fault("low", HasSubstr("exceed"))));
  // The rule would only repeat, in other words, that the value could not be read.
  EXPECT_THAT(load("low: x\nhigh: 0"), ElementsAre(fault("low", HasSubstr("whole number"))));
}

TEST(Settings, SecretsComeFromFilesAndLoseTheirLastNewline) {
  const TempFile file(std::string(kPlantedSecret) + "\n");
  const Loaded loaded("password_file: " + file.path());
  ASSERT_TRUE(loaded.result);
  EXPECT_EQ(loaded.values.password.reveal(), kPlantedSecret);
}

TEST(Settings, SecretsAreMaskedWhereverSettingsArePrinted) {
  const TempFile file(kPlantedSecret);
  const Loaded loaded("", {{"SLUICE_PASSWORD_FILE", file.path()}});
  ASSERT_TRUE(loaded.result);
  for (const std::string& text :
       {loaded.settings.print(), loaded.settings.print_json(), loaded.settings.list_json(),
        loaded.settings.help(), loaded.settings.markdown(), loaded.settings.json_schema()}) {
    EXPECT_THAT(text, Not(HasSubstr(kPlantedSecret)));
  }
  EXPECT_THAT(loaded.settings.print(),
              HasSubstr("password_file: \"******\"  # from SLUICE_PASSWORD_FILE"));
}

TEST(Settings, ASecretInThePlaceOfItsFileNameIsNotShown) {
  const Loaded loaded("", {{"SLUICE_PASSWORD_FILE", std::string(kPlantedSecret)}});
  ASSERT_EQ(loaded.faults().size(), 1U);
  EXPECT_THAT(loaded.faults().front(), fault("password_file", HasSubstr("cannot be opened")));
  EXPECT_THAT(loaded.faults().front().message, Not(HasSubstr(kPlantedSecret)));
}

TEST(Settings, SecretFilesThatCannotBeMeantAreRefused) {
  const TempFile empty("\n");
  const TempFile huge(std::string(kMaxSecretSize + 1, 'x'));
  EXPECT_THAT(Loaded("password_file: " + empty.path()).faults(),
              ElementsAre(fault("password_file", HasSubstr("empty file"))));
  EXPECT_THAT(Loaded("password_file: " + huge.path()).faults(),
              ElementsAre(fault("password_file", HasSubstr("larger than"))));
  EXPECT_THAT(Loaded("password_file: /").faults(),
              ElementsAre(fault("password_file", HasSubstr("cannot be"))));
}

TEST(Settings, PrintedSettingsCanBeReadAgain) {
  const Loaded first("brokers: [q:1]\nwait: 40s\nbuffer: 3KiB\nratio: 0.125\nurl: \"a: #b\"\n",
                     {{"SLUICE_WAIT", "45s"}});
  EXPECT_TRUE(first.result);
  const Loaded second(first.settings.print());
  ASSERT_TRUE(second.result) << second.faults().front().message;
  EXPECT_THAT(second.values.brokers, ElementsAre("q:1"));
  EXPECT_EQ(second.values.wait, 45s);
  EXPECT_EQ(second.values.buffer, 3_KiB);
  EXPECT_EQ(second.values.ratio, 0.125);
  EXPECT_EQ(second.values.url, "a: #b");
}

TEST(Settings, PrintingTellsWhereEachComesFrom) {
  const Loaded loaded("batch_rows: 7", {{"SLUICE_RATIO", "1"}});
  EXPECT_THAT(loaded.settings.print(), AllOf(HasSubstr("batch_rows: 7  # from file\n"),
                                             HasSubstr("ratio: 1  # from SLUICE_RATIO\n"),
                                             HasSubstr("wait: \"5s\"  # from default\n")));
  const auto json = nlohmann::json::parse(loaded.settings.print_json());
  EXPECT_EQ(json["batch_rows"], (nlohmann::json{{"value", 7}, {"source", "file"}}));
  EXPECT_EQ(json["ratio"]["source"], "environment");
  EXPECT_EQ(json["brokers"]["value"], (nlohmann::json{"a:1", "b:2"}));
  EXPECT_EQ(json["is_on"]["value"], false);
}

TEST(Settings, TheListNamesEverySetting) {
  const Loaded loaded("");
  const auto list = nlohmann::json::parse(loaded.settings.list_json());
  ASSERT_EQ(list.size(), loaded.settings.names().size());
  EXPECT_EQ(list[3], (nlohmann::json{{"name", "batch_rows"},
                                     {"environment", "SLUICE_BATCH_ROWS"},
                                     {"type", "whole number"},
                                     {"default", 5000},
                                     {"bounds", "1 to 100000"},
                                     {"secret", false},
                                     {"help", "Rows."}}));
}

TEST(Settings, TheSchemaIsStrictAndTyped) {
  const auto schema = nlohmann::json::parse(Loaded("").settings.json_schema());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_FALSE(schema.contains("required"));
  const auto& properties = schema["properties"];
  EXPECT_EQ(properties["batch_rows"], (nlohmann::json{{"type", "integer"},
                                                      {"minimum", 1},
                                                      {"maximum", 100'000},
                                                      {"default", 5000},
                                                      {"description", "Rows."}}));
  EXPECT_EQ(properties["mode"]["enum"], (nlohmann::json{"single", "cluster"}));
  EXPECT_EQ(properties["brokers"]["type"], "array");
  EXPECT_EQ(properties["brokers"]["items"]["type"], "string");
  EXPECT_EQ(properties["is_on"]["type"], "boolean");
  EXPECT_EQ(properties["wait"]["type"], "string");
  EXPECT_EQ(properties["buffer"]["type"], (nlohmann::json{"string", "integer"}));
  EXPECT_EQ(properties["password_file"]["type"], "string");
}

TEST(Settings, TheTableKeepsItsColumns) {
  const Loaded loaded("");
  const std::string table = loaded.settings.markdown();
  EXPECT_THAT(table, HasSubstr("| `wait` | duration, 10ms to 1m | `5s` | Wait. |\n"));
  EXPECT_THAT(table, HasSubstr("Where \\| what."));
}

TEST(Settings, HelpNamesBoundsAndDefaults) {
  EXPECT_THAT(Loaded("").settings.help(),
              HasSubstr("batch_rows (whole number, 1 to 100000; default 5000)\n      Rows.\n"));
}

TEST(SettingsDeathTest, MistakesInDeclarationsAreBugs) {
  std::int64_t field = 0;
  Settings settings;
  settings.integer("one", &field, 1, {}, "One.");
  EXPECT_DEATH(settings.integer("one", &field, 1, {}, "Twice."), "BUG:");
  EXPECT_DEATH(settings.integer("Two", &field, 1, {}, "Name."), "BUG:");
  EXPECT_DEATH(settings.integer("three", &field, 0, {.min = 1}, "Default."), "BUG:");
  EXPECT_DEATH(settings.integer("four", &field, 1, {}, ""), "BUG:");
}

TEST(Secret, IsOverwrittenWhenAssigned) {
  Secret secret(std::string(100, 'a'));
  secret = Secret("b");
  EXPECT_EQ(secret.reveal(), "b");
  Secret moved = std::move(secret);
  EXPECT_EQ(moved.reveal(), "b");
}

}  // namespace
}  // namespace sluice
