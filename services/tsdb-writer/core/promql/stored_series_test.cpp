#include "core/promql/stored_series.h"

#include "core/promql/parser.h"
#include "testing/stored_history.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::tsdb::promql {
namespace {

/// From stored rows to an answer, with samples and with roll-ups.
class PromqlStored : public ::testing::Test {
 protected:
  static constexpr std::int64_t kStart = 1'772'323'200'000;
  static constexpr std::int64_t kMinute = 60'000;

  std::vector<Line> ask(std::string_view query, const Steps& steps) {
    const Deadline deadline(clock, std::chrono::seconds(5));
    const TenantId tenant("blue");
    StoredSeriesSource series(source, tenant, limits, clock, deadline);
    const auto expr = parse_query(query).value();
    auto value = evaluate(*expr, steps, series, {});
    EXPECT_TRUE(value) << value.error().message();
    tiers = {series.tiers().begin(), series.tiers().end()};
    return value ? std::move(value->lines) : std::vector<Line>();
  }

  /// "labels value" of each line at one moment, names without __name__.
  std::vector<std::string> at(std::int64_t ms, std::string_view query) {
    std::vector<std::string> shown;
    for (const Line& line : ask(query, {.start_ms = ms, .end_ms = ms, .step_ms = 1})) {
      std::string text;
      for (const auto& [name, value] : line.labels) {
        if (name != kNameLabel) text += std::format("{}={} ", name, value);
      }
      shown.push_back(text + std::format("{}", line.values[0]));
    }
    std::ranges::sort(shown);
    return shown;
  }

  sluice::testing::SimClock clock;
  testing::FakeSampleSource source;
  QueryLimits limits;
  std::vector<std::string> tiers;
};

TEST_F(PromqlStored, GivesTheSameFromRollUpsWhereTheyAreExact) {
  const MetricKey metric = source.add_metric("blue", "count");
  auto& device = source.add_device("blue", "d1");
  std::vector<testing::Sent> sent;
  for (std::int64_t i = 0; i < 3 * 24 * 60; ++i) {
    sent.push_back({metric, kStart + i * kMinute + 30'000, static_cast<double>(i % 1'000)});
  }
  device.history.compact(sent);
  const Steps day{.start_ms = kStart + 600 * kMinute,
                  .end_ms = kStart + 1'200 * kMinute,
                  .step_ms = 60 * kMinute};
  const Steps three{.start_ms = kStart + 600 * kMinute,
                    .end_ms = kStart + 60 * 24 * 3 * kMinute,
                    .step_ms = 60 * kMinute};
  for (const char* function : {"avg", "min", "max", "sum", "count", "last"}) {
    const std::string query = std::format("{}_over_time(count[4h])", function);
    const auto raw = ask(query, day);
    EXPECT_EQ(tiers, std::vector<std::string>{"raw"});
    const auto rolled = ask(query, three);
    EXPECT_EQ(tiers, std::vector<std::string>{"1h"});
    ASSERT_EQ(raw.size(), 1U);
    ASSERT_EQ(rolled.size(), 1U);
    for (std::size_t i = 0; i < day.count(); ++i) {
      EXPECT_NEAR(raw[0].values[i], rolled[0].values[i], 1e-9) << query << " " << i;
    }
  }
  // A counter that is reset at most once in an hour.
  const auto raw = ask("increase(count[4h])", day);
  const auto rolled = ask("increase(count[4h])", three);
  for (std::size_t i = 0; i < day.count(); ++i) {
    EXPECT_NEAR(raw[0].values[i], rolled[0].values[i], 0.01 * raw[0].values[i]) << i;
  }
  EXPECT_EQ(ask("count", three)[0].values.size(), three.count());
}

TEST_F(PromqlStored, SeesTheOwnTenantAlone) {
  source.add_metric("blue", "count");
  source.add_metric("red", "count");
  source.add_device("blue", "d1");
  source.add_device("red", "d2");
  const Deadline deadline(clock, std::chrono::seconds(5));
  const TenantId tenant("blue");
  StoredSeriesSource series(source, tenant, limits, clock, deadline);
  const auto labels = series.labels({});
  ASSERT_EQ(labels->size(), 1U);
  EXPECT_EQ(labels->front().get("device"), "d1");
  EXPECT_TRUE(series.labels({Matcher::make("device", MatchKind::kEqual, "d2").value()})->empty());
}

TEST_F(PromqlStored, NamesTheLimitItRefusesFor) {
  const MetricKey metric = source.add_metric("blue", "count");
  auto& device = source.add_device("blue", "d1");
  device.history.compact({{metric, kStart, 1.0}, {metric, kStart + 1, 2.0}});
  const Deadline deadline(clock, std::chrono::seconds(5));
  const TenantId tenant("blue");
  const auto reason = [&] {
    StoredSeriesSource series(source, tenant, limits, clock, deadline);
    const auto found =
        series.select({}, {.from_ms = kStart - 1, .to_ms = kStart + 10, .step_ms = 1});
    return found ? "answered" : found.error().reason();
  };
  EXPECT_EQ(reason(), "answered");
  limits.max_promql_samples = 1;
  EXPECT_EQ(reason(), "query_max_promql_samples");
  limits = {};
  limits.max_series = 0;
  EXPECT_EQ(reason(), "query_max_series");
  limits.max_devices = 0;
  EXPECT_EQ(reason(), "query_max_devices");
}

TEST_F(PromqlStored, AttributesOfDevicesAreLabels) {
  const MetricKey metric = source.add_metric("blue", "power");
  const auto add = [&](const char* id, double value,
                       std::map<std::string, std::string> attributes) {
    auto& device = source.add_device("blue", id);
    device.attributes = std::move(attributes);
    device.history.compact({{metric, kStart, value}});
  };
  add("d1", 1, {{"site", "berlin"}, {"serial-number", "7"}, {"fleet", "other"}});
  add("d2", 2, {{"site", "berlin"}});
  add("d3", 4, {{"site", "ulm"}});
  add("d4", 8, {});
  source.add_device("red", "d5").attributes = {{"secret", "x"}};
  using Lines = std::vector<std::string>;
  EXPECT_EQ(at(kStart + 1, "power{device=\"d1\"}"),
            (Lines{"attribute_fleet=other device=d1 device_type=meter fleet=north serial_number=7 "
                   "site=berlin 1"}));
  EXPECT_EQ(at(kStart + 1, "sum by (site) (power)"), (Lines{"8", "site=berlin 3", "site=ulm 4"}));
  EXPECT_EQ(at(kStart + 1, "sum(power{site=\"berlin\"})"), Lines{"3"});
  EXPECT_EQ(at(kStart + 1, "sum(power{site=~\".+\"})"), Lines{"7"});
  EXPECT_EQ(at(kStart + 1, "sum(power{site!=\"berlin\"})"), Lines{"12"});
  EXPECT_EQ(at(kStart + 1, "sum(power{serial_number=\"7\", site=\"berlin\"})"), Lines{"1"});
  EXPECT_EQ(at(kStart + 1, "power{site=\"bonn\"}"), Lines{});
  EXPECT_EQ(at(kStart + 1, "power{no_such=\"x\"}"), Lines{});
}

TEST_F(PromqlStored, TellsNamesAndValuesOfLabelsOfTheOwnTenantAlone) {
  source.add_device("blue", "d1").attributes = {{"a-b", "1"}, {"a.b", "2"}, {"device", "x"}};
  source.add_device("red", "d2").attributes = {{"secret", "x"}};
  const Deadline deadline(clock, std::chrono::seconds(5));
  const TenantId tenant("blue");
  StoredSeriesSource series(source, tenant, limits, clock, deadline);
  EXPECT_EQ(series.label_names(), (std::set<std::string>{"__name__", "a_b", "attribute_device",
                                                         "device", "device_type", "fleet"}));
  EXPECT_EQ(series.attribute_label_values("a_b"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(series.attribute_label_values("secret"), std::vector<std::string>{});
}

}  // namespace
}  // namespace sluice::tsdb::promql
