#include "options.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

Result<Options> parse(std::vector<std::string> words) { return parse_options(words); }

TEST(Options, AreReadFromTheCommandLine) {
  const auto options = parse({"--devices", "d.csv", "--mqtt", "localhost:1883", "--seed", "7",
                              "--rate", "0.25", "--brokers", "localhost:9092", "--verdicts"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->devices, "d.csv");
  EXPECT_EQ(options->seed, 7U);
  EXPECT_EQ(options->fleet().rate, 0.25);
  EXPECT_EQ(options->simulation().patience.count(), 0);
  EXPECT_TRUE(options->verdicts);
}

TEST(Options, AreRefusedByName) {
  const std::vector<std::string> good{"--devices", "d.csv", "--mqtt", "localhost:1883"};
  const auto refuses = [&](std::vector<std::string> more, std::string_view name) {
    more.insert(more.begin(), good.begin(), good.end());
    const auto options = parse(more);
    ASSERT_FALSE(options) << name;
    EXPECT_TRUE(options.error().message().contains(name)) << options.error().message();
  };
  refuses({"--rates", "1"}, "--rates");
  refuses({"--rate", "fast"}, "--rate");
  refuses({"--rate", "0"}, "--rate");
  refuses({"--bad", "1.5"}, "--bad");
  refuses({"--window"}, "--window");
  refuses({"--qos0", "0.7", "--qos2", "0.7"}, "--qos2");
  refuses({"--query", "http://localhost"}, "--verdicts");
  EXPECT_FALSE(parse({"--mqtt", "localhost:1883"}));
  EXPECT_FALSE(parse({"--devices", "d.csv"}));
}

TEST(Options, HelpNamesThemWithTheirDefaults) {
  EXPECT_TRUE(help().contains("--rate             messages a second of each device (0.5)"))
      << help();
}

}  // namespace
}  // namespace sluice::sim
