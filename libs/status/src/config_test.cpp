#include <sluice/status/config.h>

#include <format>
#include <string>

#include <gtest/gtest.h>

namespace sluice::status {
namespace {

bool is_taken(const std::string& url) {
  Config config;
  Settings settings;
  config.declare(settings);
  return settings.load(std::format("prometheus_url: '{}'\n", url), {}).has_value();
}

TEST(StatusConfig, TakesAnAddressWithAPathAtMost) {
  EXPECT_TRUE(is_taken(""));
  EXPECT_TRUE(is_taken("http://prometheus:9090"));
  EXPECT_TRUE(is_taken("https://metrics.example/prometheus/"));
}

TEST(StatusConfig, RefusesWhatWouldNotLeadToTheQueryApi) {
  EXPECT_FALSE(is_taken("prometheus:9090"));
  EXPECT_FALSE(is_taken("file:///etc/passwd"));
  EXPECT_FALSE(is_taken("http://prometheus:9090/?x="));
  EXPECT_FALSE(is_taken("http://prometheus:9090/#"));
}

TEST(StatusConfig, RefusesPasswordsInTheAddress) {
  EXPECT_FALSE(is_taken("http://user:secret@prometheus:9090"));
}

}  // namespace
}  // namespace sluice::status
