#include "options.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

Result<Options> parsed(const std::vector<std::string>& arguments) {
  return parse_options(arguments);
}

TEST(Options, AreReadByTheirTypes) {
  const auto options = parsed({"pub", "--pubs", "20", "--rate", "2.5e3", "--pid", "12,34", "--json",
                               "--topic", "a/%c", "--count", "5000000000"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->command, Command::kPub);
  EXPECT_EQ(options->pubs, 20U);
  EXPECT_EQ(options->rate, 2500);
  EXPECT_EQ(options->pids, (std::vector{12, 34}));
  EXPECT_TRUE(options->json);
  EXPECT_EQ(options->topic, "a/%c");
  EXPECT_EQ(options->count, 5'000'000'000U);
  EXPECT_FALSE(options->tls);
}

TEST(Options, NothingAsksForHelp) {
  EXPECT_EQ(parsed({})->command, Command::kHelp);
  EXPECT_EQ(parsed({"--help"})->command, Command::kHelp);
  EXPECT_TRUE(help().contains("--inflight"));
}

TEST(Options, WhatIsNotUnderstoodIsRefused) {
  EXPECT_FALSE(parsed({"publish"}));
  EXPECT_FALSE(parsed({"pub", "--nothing", "1"}));
  EXPECT_FALSE(parsed({"pub", "pubs"}));
  EXPECT_FALSE(parsed({"pub", "--pubs"}));
  EXPECT_FALSE(parsed({"pub", "--pubs", "x"}));
  EXPECT_FALSE(parsed({"pub", "--pubs", "1x"}));
  EXPECT_FALSE(parsed({"pub", "--rate", "-1"}));
  EXPECT_FALSE(parsed({"pub", "--pid", "1,,2"}));
}

TEST(Options, WhatCannotWorkIsRefused) {
  EXPECT_FALSE(parsed({"pub", "--qos", "3"}));
  EXPECT_FALSE(parsed({"pub", "--mqtt", "6"}));
  EXPECT_FALSE(parsed({"pub", "--port", "65536"}));
  EXPECT_FALSE(parsed({"pub", "--window", "4", "--batch", "5"}));
  EXPECT_TRUE(parsed({"pub", "--qos", "0", "--window", "4", "--batch", "5"}));
  EXPECT_FALSE(parsed({"pub", "--window", "65536"}));
  EXPECT_FALSE(parsed({"conn", "--n", "0"}));
  EXPECT_FALSE(parsed({"conn", "--n", "5", "--pings", "6"}));
  EXPECT_FALSE(parsed({"storm", "--rate", "10", "--crowd-port", "65536"}));
  EXPECT_FALSE(parsed({"pub", "--pubs", "3", "--threads", "4"}));
  EXPECT_FALSE(parsed({"storm"}));
  EXPECT_TRUE(parsed({"storm", "--rate", "10"}));
  EXPECT_FALSE(parsed({"storm", "--rate", "10", "--qos", "0"}));
  EXPECT_FALSE(parsed({"conn", "--cert", "x"}));
  EXPECT_FALSE(parsed({"conn", "--resume"}));
  EXPECT_FALSE(parsed({"null-sink", "--fault", "x"}));
}

}  // namespace

}  // namespace sluice::load
