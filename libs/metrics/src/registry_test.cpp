#include <array>
#include <atomic>
#include <cmath>
#include <format>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <sluice/metrics/metrics.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::array<double, 3> kBounds = {1, 2, 4};

TEST(Registry, WritesThePrometheusTextFormat) {
  Registry registry;
  registry.counter("sluice_x_total", "Xs.", {{"kind", "a"}}).add(3);
  registry.gauge("sluice_y_bytes", "Ys.").set(-1.5);
  auto histogram = registry.histogram("sluice_z_seconds", "Zs.", kBounds);
  for (double value : {0.5, 1.0, 3.0, 9.0}) histogram.observe(value);
  EXPECT_EQ(registry.scrape(),
            "# HELP sluice_x_total Xs.\n"
            "# TYPE sluice_x_total counter\n"
            "sluice_x_total{kind=\"a\"} 3\n"
            "# HELP sluice_y_bytes Ys.\n"
            "# TYPE sluice_y_bytes gauge\n"
            "sluice_y_bytes -1.5\n"
            "# HELP sluice_z_seconds Zs.\n"
            "# TYPE sluice_z_seconds histogram\n"
            "sluice_z_seconds_count 4\n"
            "sluice_z_seconds_sum 13.5\n"
            "sluice_z_seconds_bucket{le=\"1\"} 2\n"
            "sluice_z_seconds_bucket{le=\"2\"} 2\n"
            "sluice_z_seconds_bucket{le=\"4\"} 3\n"
            "sluice_z_seconds_bucket{le=\"+Inf\"} 4\n");
}

TEST(Registry, HostileLabelValuesStayInsideTheirQuotes) {
  Registry registry;
  registry.counter("sluice_x_total", "Xs.", {{"kind", "a\"b\\c\nd\xFF"}}).add();
  EXPECT_THAT(registry.scrape(), HasSubstr("sluice_x_total{kind=\"a\\\"b\\\\c\\nd\uFFFD\"} 1\n"));
}

TEST(Registry, LabelValuesAreCutAtACharacter) {
  Registry registry;
  registry.counter("sluice_x_total", "Xs.", {{"kind", std::format("{}ü", std::string(127, 'a'))}})
      .add();
  const std::string text = registry.scrape();
  EXPECT_THAT(text, HasSubstr(std::string(127, 'a')));
  EXPECT_THAT(text, Not(HasSubstr("ü")));
}

TEST(Registry, TheSameNameAndLabelsAreTheSameSeries) {
  Registry registry;
  registry.counter("sluice_x_total", "Xs.", {{"a", "1"}, {"b", "2"}}).add();
  auto again = registry.counter("sluice_x_total", "Xs.", {{"b", "2"}, {"a", "1"}});
  again.add();
  EXPECT_EQ(again.value(), 2U);
  auto other = registry.counter("sluice_x_total", "Xs.", {{"b", "3"}, {"a", "1"}});
  EXPECT_EQ(other.value(), 0U);
}

TEST(Registry, NothingIsLostWhenManyThreadsCount) {
  // More threads than slots, so that owned and shared cells are both in use.
  constexpr int kThreads = 48;
  constexpr std::uint64_t kEach = 2'000;
  Registry registry;
  auto counter = registry.counter("sluice_x_total", "Xs.");
  auto gauge = registry.gauge("sluice_y", "Ys.");
  auto histogram = registry.histogram("sluice_z_seconds", "Zs.", kBounds);
  std::atomic<int> waiting = 0;
  std::atomic<bool> may_end = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        auto own = counter;
        auto own_histogram = histogram;
        auto own_gauge = gauge;
        for (std::uint64_t j = 0; j < kEach; ++j) {
          own.add();
          own_gauge.add(1);
          own_histogram.observe(static_cast<double>(j % 5));
        }
        ++waiting;
        waiting.notify_all();
        may_end.wait(false);  // so that no thread inherits another's slot
      });
    }
    // Reading while others write gives some value in between, and no fault.
    EXPECT_LE(counter.value(), kThreads * kEach);
    registry.scrape();
    for (int seen = waiting; seen < kThreads; seen = waiting) waiting.wait(seen);
    may_end = true;
    may_end.notify_all();
  }
  EXPECT_EQ(counter.value(), kThreads * kEach);
  EXPECT_EQ(gauge.value(), static_cast<double>(kThreads * kEach));
  EXPECT_EQ(histogram.count(), kThreads * kEach);
  EXPECT_EQ(histogram.sum(), static_cast<double>(kThreads * kEach * 2));
}

TEST(Registry, ThreadsThatComeAndGoLoseNothing) {
  Registry registry;
  auto counter = registry.counter("sluice_x_total", "Xs.");
  for (int round = 0; round < 200; ++round) {
    std::jthread([&] { counter.add(); }).join();
    std::jthread first([&] { counter.add(); });
    std::jthread second([&] { counter.add(); });
  }
  EXPECT_EQ(counter.value(), 600U);
}

TEST(Registry, ScrapesAndNewSeriesMayMeet) {
  Registry registry;
  std::atomic<bool> is_done = false;
  std::jthread scraper([&] {
    while (!is_done) registry.scrape();
  });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int j = 0; j < 100; ++j) {
          registry.counter("sluice_x_total", "Xs.", {{"kind", std::to_string(j)}}).add();
          registry.gauge_function("sluice_f", "F.", {{"of", std::to_string(i)}}, [j] { return j; });
        }
      });
    }
  }
  is_done = true;
  EXPECT_EQ(registry.counter("sluice_x_total", "Xs.", {{"kind", "7"}}).value(), 4U);
}

TEST(Registry, PastTheLimitSeriesMeetInOneThatSaysSo) {
  Registry registry;
  for (std::size_t i = 0; i < kMaxSeriesPerMetric + 5; ++i) {
    registry.counter("sluice_x_total", "Xs.", {{"kind", std::to_string(i)}}).add();
  }
  const std::string text = registry.scrape();
  EXPECT_THAT(
      text, AllOf(HasSubstr("sluice_x_total{kind=\"999\"} 1\n"), Not(HasSubstr("kind=\"1000\"")),
                  HasSubstr("sluice_x_total{kind=\"overflow\"} 5\n"),
                  HasSubstr("sluice_metrics_series_dropped_total{metric=\"sluice_x_total\"} 5\n")));
}

TEST(Registry, GaugeFunctionsAreAskedAtEachScrape) {
  Registry registry;
  double value = 1;
  registry.gauge_function("sluice_f", "F.", {}, [&] { return value; });
  EXPECT_THAT(registry.scrape(), HasSubstr("sluice_f 1\n"));
  value = 2;
  EXPECT_THAT(registry.scrape(), HasSubstr("sluice_f 2\n"));
  registry.gauge_function("sluice_f", "F.", {}, [] { return 3.0; });
  EXPECT_THAT(registry.scrape(), HasSubstr("sluice_f 3\n"));
}

TEST(Registry, GaugeFunctionsCanBeLeftOut) {
  Registry registry;
  int calls = 0;
  registry.gauge_function("sluice_f", "F.", {}, [&] { return ++calls; });
  EXPECT_EQ(registry.scrape(Registry::Functions::kSkip), "");
  EXPECT_EQ(calls, 0);
}

TEST(Registry, AGaugeFunctionMayAskTheRegistry) {
  Registry registry;
  registry.gauge_function("sluice_f", "F.", {}, [&] {
    registry.counter("sluice_x_total", "Xs.").add();
    return 1.0;
  });
  registry.scrape();
  EXPECT_EQ(registry.counter("sluice_x_total", "Xs.").value(), 1U);
}

TEST(Registry, ProcessMetricsHaveTheirUsualNames) {
  Registry registry;
  EXPECT_EQ(registry.scrape(), "");
  registry.add_process_metrics();
  EXPECT_THAT(registry.scrape(),
              AllOf(HasSubstr("\nprocess_cpu_seconds_total "),
                    HasSubstr("\nprocess_resident_memory_bytes "), HasSubstr("\nprocess_open_fds "),
                    HasSubstr("\nprocess_start_time_seconds ")));
}

TEST(Registry, DescribesWhatItHolds) {
  Registry registry;
  registry.histogram("sluice_z_seconds", "Zs.", kBounds, {{"b", "x"}, {"a", "y"}});
  const auto list = registry.describe();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].name, "sluice_z_seconds");
  EXPECT_EQ(list[0].type, "histogram");
  EXPECT_EQ(list[0].help, "Zs.");
  EXPECT_THAT(list[0].label_names, ElementsAre("a", "b"));
}

TEST(Histogram, BoundsBelongToTheirBucket) {
  Registry registry;
  auto histogram = registry.histogram("sluice_z_seconds", "Zs.", kBounds);
  histogram.observe(1);
  histogram.observe(std::nextafter(1.0, 2.0));
  histogram.observe(-5);
  histogram.observe(std::numeric_limits<double>::infinity());
  EXPECT_THAT(registry.scrape(),
              AllOf(HasSubstr("_bucket{le=\"1\"} 2\n"), HasSubstr("_bucket{le=\"2\"} 3\n"),
                    HasSubstr("_bucket{le=\"+Inf\"} 4\n")));
}

TEST(Histogram, LeavesNanOut) {
  Registry registry;
  auto histogram = registry.histogram("sluice_z_seconds", "Zs.", kBounds);
  histogram.observe(std::nan(""));
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.sum(), 0);
}

TEST(Histogram, HoldsMoreBucketsThanACacheLine) {
  Registry registry;
  auto histogram = registry.histogram("sluice_z_seconds", "Zs.", latency_buckets_seconds());
  for (double bound : latency_buckets_seconds()) histogram.observe(bound);
  histogram.observe(1000);
  EXPECT_EQ(histogram.count(), latency_buckets_seconds().size() + 1);
  EXPECT_THAT(registry.scrape(), HasSubstr("_bucket{le=\"10\"} 14\n"));
}

TEST(RegistryDeathTest, MisuseIsABug) {
  Registry registry;
  registry.counter("sluice_x_total", "Xs.", {{"a", "1"}});
  EXPECT_DEATH(registry.counter("sluice_x_total", "Xs.", {{"b", "1"}}), "two sets of labels");
  EXPECT_DEATH(registry.counter("sluice_x_total", "Xs."), "two sets of labels");
  EXPECT_DEATH(registry.counter("sluice_y_total", "Ys.", {{"device_id", "1"}}), "device_id");
  EXPECT_DEATH(registry.counter("sluice_y_total", "Ys.", {{"a", "1"}, {"a", "2"}}), "twice");
  EXPECT_DEATH(registry.counter("sluice_y_total", ""), "no help");
  EXPECT_DEATH(registry.counter("sluice_y", "Ys."), "without _total");
  EXPECT_DEATH(registry.gauge("other_y", "Ys."), "begin with sluice_");
  EXPECT_DEATH(registry.histogram("sluice_h_seconds", "H.", {}), "bounds that rise");
  registry.gauge("sluice_g", "G.");
  EXPECT_DEATH(registry.histogram("sluice_g", "G.", kBounds), "two types");
  EXPECT_DEATH(registry.gauge_function("sluice_g", "G.", {}, [] { return 1.0; }), "plain gauge");
}

}  // namespace
}  // namespace sluice
