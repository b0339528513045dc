#include "core.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include <sluice/base/random.h>
#include <sluice/testing/captured_log.h>

#include <gtest/gtest.h>

namespace sluice::service::runtime_detail {
namespace {

using namespace std::chrono_literals;
using testing::CapturedLog;

/// A core whose only check asks for the end as soon as the service serves.
struct Fixture {
  Fixture() {
    core.add_check("end", [this]() -> Result<> {
      core.ask_stop();
      ++checks;
      return {};
    });
    registry.gauge_function("sluice_test_calls", "Calls.", {}, [this] { return ++gauge_calls; });
  }

  SystemClock clock;
  SystemRandom random;
  Registry registry;
  const ServiceSettings settings{.log_level = "info",
                                 .ops_listen = "",
                                 .ops_token = {},
                                 .address_file = "",
                                 .readiness_period = 10ms,
                                 .drain_delay = 0ms,
                                 .shutdown_grace = 1s};
  std::atomic<int> checks = 0;
  std::atomic<int> gauge_calls = 0;
  Logger log = std::make_shared<CapturedLog>()->logger("test", clock);
  Core core{"test", settings, clock, random, log, registry};
};

TEST(Core, CallsNothingOfABodyWhoseDrainHookThrew) {
  Fixture fixture;
  fixture.core.on_drain([] { throw std::runtime_error("planted"); });
  EXPECT_THROW((void)fixture.core.wait(), std::runtime_error);
  fixture.core.scrape();
  EXPECT_EQ(fixture.gauge_calls, 0);
  const int checks = fixture.checks;
  std::this_thread::sleep_for(5 * fixture.settings.readiness_period);  // pause: no check comes
  EXPECT_EQ(fixture.checks, checks);
}

TEST(Core, ShowsPagesOfTheBodyWhileItServesAndNoLonger) {
  Fixture fixture;
  int shown = 0;
  fixture.core.add_page({.path = "/page", .answer = [&] {
                           ++shown;
                           return OpsResponse{.body = "page"};
                         }});
  const OpsPage* page = fixture.core.find_page("/page");
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(fixture.core.find_page("/other"), nullptr);
  EXPECT_EQ(fixture.core.show(*page).status, 503);
  fixture.core.add_check("asks", [&]() -> Result<> {
    EXPECT_EQ(fixture.core.show(*page).body, "page");
    return {};
  });
  EXPECT_TRUE(fixture.core.wait());
  EXPECT_GE(shown, 1);
  EXPECT_EQ(fixture.core.show(*page).status, 503);
}

TEST(Core, CallsNothingOfABodyWhoseComponentThrew) {
  Fixture fixture;
  fixture.core.add_component("Part", [] { throw std::runtime_error("planted"); });
  EXPECT_THROW((void)fixture.core.wait(), std::runtime_error);
  fixture.core.scrape();
  EXPECT_EQ(fixture.gauge_calls, 0);
}

}  // namespace
}  // namespace sluice::service::runtime_detail
