#include "command_line.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::service {
namespace {

using ::testing::HasSubstr;
using enum CommandLine::Action;

Result<CommandLine> parse(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return CommandLine::parse(pointers);
}

TEST(CommandLine, ServesWhenNothingElseIsAsked) {
  EXPECT_EQ(parse({})->action, kServe);
  EXPECT_EQ(parse({"--config", "a.yaml"})->config_file, "a.yaml");
  EXPECT_EQ(parse({"--config=a.yaml"})->config_file, "a.yaml");
}

TEST(CommandLine, KnowsEveryAction) {
  EXPECT_EQ(parse({"--help"})->action, kHelp);
  EXPECT_EQ(parse({"--version"})->action, kVersion);
  EXPECT_EQ(parse({"--check-config", "--config", "x"})->action, kCheckConfig);
  EXPECT_EQ(parse({"--config", "x", "--print-config"})->action, kPrintConfig);
  EXPECT_EQ(parse({"--print-settings"})->action, kPrintSettings);
  EXPECT_EQ(parse({"--print-schema"})->action, kPrintSchema);
  EXPECT_EQ(parse({"--print-markdown"})->action, kPrintMarkdown);
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--confg"},
                                             {"a.yaml"},
                                             {"-h"},
                                             {""},
                                             {"--config"},
                                             {"--config="},
                                             {"--config", ""},
                                             {"--config", "a", "--config", "b"},
                                             {"--help", "--version"}}) {
    const auto line = parse(arguments);
    ASSERT_FALSE(line) << arguments.front();
    EXPECT_THAT(line.error().message(), HasSubstr("--help")) << arguments.front();
  }
}

}  // namespace
}  // namespace sluice::service
