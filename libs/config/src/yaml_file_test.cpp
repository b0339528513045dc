#include "yaml_file.h"

#include <random>
#include <string>

#include <sluice/config/settings.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::config_detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// The one fault of a text that has one.
std::string only_fault(std::string_view text) {
  const YamlFile file = read_yaml(text);
  EXPECT_THAT(file.faults, SizeIs(1)) << text;
  return file.faults.empty() ? "" : file.faults.front().field + ": " + file.faults.front().message;
}

TEST(YamlFile, ReadsScalarsAndListsWithTheirLines) {
  const YamlFile file = read_yaml("a: 1\n\nb: [x, 'y']\nc:\n  - z\nd: \"\"\n");
  EXPECT_THAT(file.faults, IsEmpty());
  ASSERT_THAT(file.entries, SizeIs(4));
  EXPECT_EQ(file.entries[0].key, "a");
  EXPECT_THAT(file.entries[0].values, ElementsAre("1"));
  EXPECT_FALSE(file.entries[0].is_list);
  EXPECT_EQ(file.entries[1].line, 3);
  EXPECT_TRUE(file.entries[1].is_list);
  EXPECT_THAT(file.entries[1].values, ElementsAre("x", "y"));
  EXPECT_THAT(file.entries[2].values, ElementsAre("z"));
  EXPECT_THAT(file.entries[3].values, ElementsAre(""));
}

TEST(YamlFile, EmptyFilesSayNothing) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "---\n...\n", "{}"}) {
    EXPECT_THAT(read_yaml(text).faults, IsEmpty()) << text;
    EXPECT_THAT(read_yaml(text).entries, IsEmpty()) << text;
  }
}

TEST(YamlFile, RefusesWhatIsNotAFlatMap) {
  EXPECT_THAT(only_fault("just text"), HasSubstr("not a map"));
  EXPECT_THAT(only_fault("- a\n- b\n"), HasSubstr("not a map"));
  EXPECT_THAT(only_fault("a: {b: 1}\n"), HasSubstr("a: is a map"));
  EXPECT_THAT(only_fault("a: [[1]]\n"), HasSubstr("list item"));
  EXPECT_THAT(only_fault("a: [{b: 1}]\n"), HasSubstr("list item"));
  EXPECT_THAT(only_fault("a: [1, ~]\n"), HasSubstr("list item"));
  EXPECT_THAT(only_fault("[a]: 1\n"), HasSubstr("key that is not a name"));
  EXPECT_THAT(only_fault("~: 1\n"), HasSubstr("key that is not a name"));
  EXPECT_THAT(only_fault("a: 1\n---\nb: 2\n"), HasSubstr("second document"));
}

TEST(YamlFile, RefusesKeysThatAreThereTwice) {
  EXPECT_THAT(only_fault("a: 1\nb: 2\na: 3\n"), HasSubstr("a: is there twice (line 3"));
}

TEST(YamlFile, RefusesMissingValuesSinceTheirMeaningIsAGuess) {
  EXPECT_THAT(only_fault("a:\nb: 1\n"), HasSubstr("a: has no value"));
  EXPECT_THAT(only_fault("a: null\n"), HasSubstr("a: has no value"));
}

TEST(YamlFile, GoesOnAfterAFault) {
  const YamlFile file = read_yaml("a: {b: {c: [1, {d: 2}]}}\ne:\nf: 1\n");
  EXPECT_THAT(file.faults, SizeIs(2));
  ASSERT_THAT(file.entries, SizeIs(1));
  EXPECT_EQ(file.entries[0].key, "f");
}

TEST(YamlFile, RefusesAliases) {
  EXPECT_THAT(only_fault("a: &x 1\nb: *x\n"), HasSubstr("b: has an alias"));
}

TEST(YamlFile, AnAliasBombIsRefusedWithoutBeingUnfolded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int j = 0; j < 8; ++j) bomb += ", " + last;
    bomb += "]\n";
  }
  const YamlFile file = read_yaml(bomb);
  EXPECT_FALSE(file.faults.empty());
  EXPECT_LE(file.faults.size(), 50U);
}

TEST(YamlFile, DepthIsBounded) {
  for (const char* piece : {"[", "{a: ", "- ", "? "}) {
    std::string text = "a: ";
    if (std::string_view(piece) == "- " || std::string_view(piece) == "? ") text = "a:\n  ";
    for (int i = 0; i < 50'000; ++i) text += piece;
    EXPECT_FALSE(read_yaml(text).faults.empty()) << piece;
  }
}

TEST(YamlFile, SizeIsBounded) {
  EXPECT_THAT(only_fault(std::string(kMaxSettingsFileSize + 1, '#')), HasSubstr("larger than"));
}

TEST(YamlFile, ManyFaultsEndTheReading) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "a: 1\n";
  EXPECT_LE(read_yaml(text).faults.size(), 50U);
}

TEST(YamlFile, SyntaxFaultsNameTheirLine) {
  EXPECT_THAT(only_fault("a: 1\nb: \"open\nc"), HasSubstr("not YAML"));
  EXPECT_THAT(read_yaml("a: 1\nb: [1\n").faults.back().message, HasSubstr("line"));
}

TEST(YamlFile, AnyBytesGiveEntriesOrFaultsAndNeverAnythingElse) {
  // The bytes that mean something in YAML, so that random texts reach the scanner's branches.
  constexpr std::string_view kAlphabet = "ab: \n-[]{},&*?!|>'\"%@`#~\t\\<\xC3\xA9\xFF\x01";
  std::mt19937 random(20'260'101);
  for (int round = 0; round < 5'000; ++round) {
    std::string text(random() % 60, ' ');
    for (char& c : text) c = kAlphabet[random() % kAlphabet.size()];
    const YamlFile file = read_yaml(text);
    for (const YamlEntry& entry : file.entries) EXPECT_LE(entry.key.size(), 100U);
  }
}

}  // namespace
}  // namespace sluice::config_detail
