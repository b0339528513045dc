#include "core/query/run.h"

#include "testing/stored_history.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include <sluice/testing/sim_clock.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::FakeSampleSource;
using testing::Sent;

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kDay = 24 * kHour;
// 2026-03-01T00:00:00Z
constexpr std::int64_t kStart = 1'772'323'200'000;
static_assert(kStart % kDay == 0);
const WallTime kNow = WallTime(std::chrono::milliseconds(kStart + 40 * kDay));

WallTime at(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

/// Keeps what it is told.
class KeptAnswer final : public ResultSink {
 public:
  struct Series {
    SeriesHead head;
    std::map<std::int64_t, std::vector<Value>> points;
    std::optional<std::int64_t> next_from;
  };

  Result<> begin(const AnswerHead& told) override {
    head = told;
    return {};
  }
  Result<> begin_series(const SeriesHead& told) override {
    series.push_back({.head = told, .points = {}, .next_from = {}});
    return {};
  }
  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    auto& points = series.back().points;
    EXPECT_TRUE(points.empty() || points.rbegin()->first < time_ms);
    points.emplace(time_ms, std::vector<Value>(values.begin(), values.end()));
    return {};
  }
  Result<> end_series(std::optional<std::int64_t> next_from) override {
    series.back().next_from = next_from;
    return {};
  }
  Result<> end() override {
    is_whole = true;
    return {};
  }

  AnswerHead head;
  std::vector<Series> series;
  bool is_whole = false;
};

class RunQuery : public ::testing::Test {
 protected:
  Result<KeptAnswer> ask(QueryRequest request, const std::string& tenant = "blue") {
    SLUICE_TRY_ASSIGN(const auto plan,
                      plan_query(source, TenantId(tenant), std::move(request), limits, kNow));
    KeptAnswer answer;
    SLUICE_TRY(run_query(source, plan, Deadline(clock, limits.timeout), answer));
    return answer;
  }

  static QueryRequest windows(std::chrono::milliseconds width, std::vector<Aggregate> aggregates) {
    return {.devices = {"d1"},
            .metrics = {"temperature"},
            .from = at(kStart),
            .to = at(kStart + kDay),
            .resolution = {.kind = Resolution::Kind::kFixed, .width = width},
            .aggregates = std::move(aggregates)};
  }

  sluice::testing::SimClock clock;
  FakeSampleSource source;
  QueryLimits limits;
};

TEST_F(RunQuery, GivesRawValuesOfEveryTypeAsTheyWereSent) {
  const MetricKey number = source.add_metric("blue", "number");
  const MetricKey exact = source.add_metric("blue", "number", series::ColumnType::kInt64);
  const MetricKey text = source.add_metric("blue", "text", series::ColumnType::kString);
  auto& device = source.add_device("blue", "d1");
  const double odd = std::bit_cast<double>(0x7ff8'0000'0000'1234ULL);
  device.history.compact({{number, kStart + 1, 0.1}, {number, kStart + 2, odd}});
  device.history.flush({{exact, kStart + 3, std::int64_t{9'007'199'254'740'993}},
                        {text, kStart + 4, std::string("on, \"fire\"")},
                        {number, kStart + 1, -0.0}});
  const auto answer = ask({.devices = {"d1"},
                           .metrics = {"number", "text"},
                           .from = at(kStart),
                           .to = at(kStart + kHour)});
  ASSERT_TRUE(answer) << answer.error().message();
  ASSERT_EQ(answer->series.size(), 2U);
  const auto& points = answer->series[0].points;
  ASSERT_EQ(points.size(), 3U);
  EXPECT_TRUE(std::signbit(std::get<double>(points.at(kStart + 1)[0])));  // the later one
  EXPECT_EQ(std::bit_cast<std::uint64_t>(std::get<double>(points.at(kStart + 2)[0])),
            0x7ff8'0000'0000'1234ULL);
  EXPECT_EQ(points.at(kStart + 3)[0], Value(std::int64_t{9'007'199'254'740'993}));
  EXPECT_EQ(answer->series[1].points.at(kStart + 4)[0], Value(std::string("on, \"fire\"")));
  EXPECT_THAT(answer->head.tiers, ElementsAre("raw"));
  EXPECT_TRUE(answer->is_whole);
}

TEST_F(RunQuery, CutsRawValuesAtTheLimitAndTellsWhereTheyGoOn) {
  const MetricKey number = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  std::vector<Sent> sent;
  for (int i = 0; i < 10; ++i) sent.push_back({number, kStart + i * kHour, double(i)});
  device.history.compact(sent);
  QueryRequest request{
      .devices = {"d1"}, .from = at(kStart), .to = at(kStart + 2 * kDay), .limit = 4};
  auto answer = ask(request).value();
  EXPECT_EQ(answer.series[0].points.size(), 4U);
  ASSERT_EQ(answer.series[0].next_from, kStart + 4 * kHour);
  request.from = at(*answer.series[0].next_from);
  request.limit = 6;
  answer = ask(request).value();
  EXPECT_EQ(answer.series[0].points.size(), 6U);
  EXPECT_EQ(answer.series[0].next_from, std::nullopt);
}

/// What a window should be, computed with nothing but the values.
struct Naive {
  std::vector<double> values;  // by time

  double aggregate(Aggregate which) const {
    std::vector<double> sorted = values;
    std::ranges::sort(sorted);
    const auto quantile = [&](double q) {
      return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
    };
    double sum = 0;
    for (const double value : values) sum += value;
    switch (which) {
      case Aggregate::kAvg:
        return sum / static_cast<double>(values.size());
      case Aggregate::kMin:
        return sorted.front();
      case Aggregate::kMax:
        return sorted.back();
      case Aggregate::kSum:
        return sum;
      case Aggregate::kCount:
        return static_cast<double>(values.size());
      case Aggregate::kFirst:
        return values.front();
      case Aggregate::kLast:
        return values.back();
      case Aggregate::kP50:
        return quantile(0.5);
      case Aggregate::kP95:
        return quantile(0.95);
      case Aggregate::kP99:
        return quantile(0.99);
    }
    return 0;
  }
};

double number_in(const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  return std::get<double>(value);
}

std::vector<Aggregate> all_aggregates() {
  std::vector<Aggregate> all;
  for (std::size_t i = 0; i < kAggregateCount; ++i) all.push_back(static_cast<Aggregate>(i));
  return all;
}

/// Random values, some of them overridden, spread over compacted and fresh rows.
std::map<std::int64_t, double> scatter(std::mt19937& random, MetricKey metric,
                                       testing::StoredHistory& history) {
  std::map<std::int64_t, double> truth;
  std::vector<Sent> sent;
  for (int i = 0; i < 600; ++i) {
    const std::int64_t time = kStart + static_cast<std::int64_t>(random() % (3 * kDay));
    const double value = std::round(std::sin(i) * 1000) / 8;
    sent.push_back({metric, time, value});
  }
  const std::size_t compacted = random() % sent.size();
  const std::span all(sent);
  const auto head = all.first(compacted);
  history.compact({head.begin(), head.end()});
  for (std::size_t begin = compacted; begin < sent.size(); begin += 50) {
    auto part = all.subspan(begin, std::min<std::size_t>(50, sent.size() - begin));
    std::vector<Sent> flush(part.begin(), part.end());
    // A late value for a time that is stored already.
    if (begin > 0) flush.push_back({metric, sent[random() % begin].time_ms, double(begin)});
    history.flush(flush);
    for (const Sent& each : flush) truth[each.time_ms] = std::get<double>(each.value);
  }
  std::map<std::int64_t, double> whole;
  for (const Sent& each : head) whole[each.time_ms] = std::get<double>(each.value);
  for (const auto& [time, value] : whole) truth.try_emplace(time, value);
  return truth;
}

TEST_F(RunQuery, AgreesWithTheValuesThemselvesInEveryTier) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    const std::string id = "d" + std::to_string(round);
    auto& device = source.add_device("blue", id);
    const auto truth = scatter(random, metric, device.history);
    for (const auto width : {std::chrono::milliseconds(10s), std::chrono::milliseconds(5min),
                             std::chrono::milliseconds(2h), std::chrono::milliseconds(24h)}) {
      QueryRequest request = windows(width, all_aggregates());
      request.devices = {id};
      request.from = at(kStart + 10 * kHour + 7);
      request.to = at(kStart + 2 * kDay + 5 * kHour);
      const auto answer = ask(request);
      ASSERT_TRUE(answer) << answer.error().message();
      std::map<std::int64_t, Naive> expected;
      for (const auto& [time, value] : truth) {
        if (time < answer->head.from.time_since_epoch().count()) continue;
        if (time >= answer->head.to.time_since_epoch().count()) continue;
        expected[time - time % width.count()].values.push_back(value);
      }
      const auto& points = answer->series[0].points;
      ASSERT_EQ(points.size(), expected.size()) << answer->head.tiers[0];
      for (const auto& [start, naive] : expected) {
        for (std::size_t i = 0; i < kAggregateCount; ++i) {
          const double wanted = naive.aggregate(static_cast<Aggregate>(i));
          const double found = number_in(points.at(start)[i]);
          const double allowed =
              is_quantile(static_cast<Aggregate>(i)) ? 0.0101 * std::abs(wanted) : 1e-9;
          EXPECT_NEAR(found, wanted, allowed + 1e-9 * std::abs(wanted))
              << to_string(static_cast<Aggregate>(i)) << " of " << answer->head.resolution;
        }
      }
    }
  }
}

TEST_F(RunQuery, AddsLateValuesToRollUpsWhoseRawValuesAreGone) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  device.history.compact_and_drop_raw({{metric, kStart + 1, 1.0}, {metric, kStart + 2, 3.0}});
  device.history.flush({{metric, kStart + 3, 8.0}});
  for (const auto width : {std::chrono::milliseconds(1min), std::chrono::milliseconds(1h),
                           std::chrono::milliseconds(24h)}) {
    const auto answer = ask(windows(width, {Aggregate::kCount, Aggregate::kSum})).value();
    EXPECT_THAT(answer.series[0].points.at(kStart),
                ElementsAre(Value(std::int64_t{3}), Value(12.0)));
  }
}

TEST_F(RunQuery, MakesAWarmHourAnewInsteadOfAddingToIt) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  device.history.compact({{metric, kStart + 1, 1.0}, {metric, kStart + 2, 3.0}});
  device.history.flush({{metric, kStart + 2, 8.0}});  // the same time: overridden, not added
  for (const auto width : {std::chrono::milliseconds(1min), std::chrono::milliseconds(1h),
                           std::chrono::milliseconds(24h)}) {
    const auto answer = ask(windows(width, {Aggregate::kCount, Aggregate::kSum})).value();
    EXPECT_THAT(answer.series[0].points.at(kStart),
                ElementsAre(Value(std::int64_t{2}), Value(9.0)));
  }
}

TEST_F(RunQuery, FillsWindowsWithoutValues) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  device.history.compact({{metric, kStart + kHour, 10.0}, {metric, kStart + 4 * kHour, 40.0}});
  QueryRequest request = windows(1h, {Aggregate::kAvg});
  request.to = at(kStart + 6 * kHour);
  const auto filled = [&](Fill fill) {
    request.fill = fill;
    std::vector<Value> values;
    const auto answer = ask(request).value();
    for (const auto& [time, row] : answer.series[0].points) values.push_back(row[0]);
    return values;
  };
  const Value nothing;
  EXPECT_THAT(filled(Fill::kNone), ElementsAre(Value(10.0), Value(40.0)));
  EXPECT_THAT(filled(Fill::kNull),
              ElementsAre(nothing, Value(10.0), nothing, nothing, Value(40.0), nothing));
  EXPECT_THAT(filled(Fill::kPrevious), ElementsAre(nothing, Value(10.0), Value(10.0), Value(10.0),
                                                   Value(40.0), Value(40.0)));
  const auto line = filled(Fill::kLinear);
  EXPECT_EQ(line[0], nothing);
  EXPECT_DOUBLE_EQ(std::get<double>(line[2]), 20);
  EXPECT_DOUBLE_EQ(std::get<double>(line[3]), 30);
  EXPECT_EQ(line[5], nothing);
}

TEST_F(RunQuery, PutsDevicesTogetherThatHaveAnAttributeInCommon) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  const std::array<const char*, 4> sites{"berlin", "bonn", "berlin", nullptr};
  for (std::size_t i = 0; i < sites.size(); ++i) {
    auto& device = source.add_device("blue", "d" + std::to_string(i));
    if (sites[i] != nullptr) device.attributes = {{"site", sites[i]}, {"floor", "1"}};
    device.history.compact({{metric, kStart, double(i)}});
  }
  QueryRequest request = windows(1h, {Aggregate::kSum});
  request.devices.clear();
  request.group_by = std::vector<GroupBy>{};
  request.group_attributes = {"site"};
  const auto answer = ask(request).value();
  ASSERT_EQ(answer.series.size(), 3U);
  const auto is_group = [&](std::size_t place, const std::string& site, double sum) {
    EXPECT_THAT(answer.series[place].head.attributes, ElementsAre(site));
    EXPECT_THAT(answer.series[place].points.at(kStart), ElementsAre(Value(sum)));
  };
  is_group(0, "", 3);
  is_group(1, "berlin", 2);
  is_group(2, "bonn", 1);
}

TEST_F(RunQuery, PutsDevicesOfAGroupTogetherAndRanksThem) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  for (int i = 0; i < 6; ++i) {
    auto& device = source.add_device("blue", "d" + std::to_string(i), i < 3 ? "north" : "south");
    device.history.compact({{metric, kStart + i, double(i)}});
  }
  QueryRequest request = windows(1h, {Aggregate::kAvg, Aggregate::kCount});
  request.devices.clear();
  request.group_by = std::vector{GroupBy::kFleet};
  auto answer = ask(request).value();
  ASSERT_EQ(answer.series.size(), 2U);
  EXPECT_EQ(answer.series[0].head.fleet, "north");
  EXPECT_EQ(answer.series[0].head.device_type, std::nullopt);
  EXPECT_THAT(answer.series[0].points.at(kStart), ElementsAre(Value(1.0), Value(std::int64_t{3})));
  EXPECT_THAT(answer.series[1].points.at(kStart), ElementsAre(Value(4.0), Value(std::int64_t{3})));

  request.group_by.reset();
  request.top = Top{.count = 2, .by = Aggregate::kMax};
  answer = ask(request).value();
  ASSERT_EQ(answer.series.size(), 2U);
  EXPECT_EQ(answer.series[0].head.device, "d5");
  EXPECT_EQ(answer.series[1].head.device, "d4");
  request.top->is_lowest = true;
  EXPECT_EQ(ask(request).value().series[0].head.device, "d0");
}

TEST_F(RunQuery, CountsTextsAndRefusesToAverageThem) {
  const MetricKey state = source.add_metric("blue", "state", series::ColumnType::kString);
  const MetricKey open = source.add_metric("blue", "open", series::ColumnType::kBool);
  auto& device = source.add_device("blue", "d1");
  device.history.compact({{state, kStart + 1, std::string("on")},
                          {state, kStart + 2, std::string("off")},
                          {open, kStart + 1, true},
                          {open, kStart + 5, false}});
  QueryRequest request = windows(1h, {Aggregate::kCount, Aggregate::kFirst, Aggregate::kLast});
  request.metrics = {"state", "open"};
  const auto answer = ask(request).value();
  EXPECT_EQ(answer.series[0].head.metric, "open");
  EXPECT_THAT(answer.series[0].points.at(kStart),
              ElementsAre(Value(std::int64_t{2}), Value(true), Value(false)));
  EXPECT_THAT(
      answer.series[1].points.at(kStart),
      ElementsAre(Value(std::int64_t{2}), Value(std::string("on")), Value(std::string("off"))));
  request.aggregates = {Aggregate::kAvg};
  EXPECT_EQ(ask(request).error().faults()[0].field, "agg");
}

TEST_F(RunQuery, DoesNotKnowDevicesOfOthers) {
  source.add_metric("blue", "temperature");
  source.add_metric("red", "temperature");
  source.add_device("red", "d1");
  const auto of_other = ask(windows(1h, {Aggregate::kAvg}));
  ASSERT_FALSE(of_other);
  QueryRequest request = windows(1h, {Aggregate::kAvg});
  request.devices = {"nobody"};
  const auto of_nobody = ask(request);
  ASSERT_FALSE(of_nobody);
  EXPECT_EQ(of_other.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(of_other.error().message(), of_nobody.error().message());
  EXPECT_EQ(of_other.error().reason(), of_nobody.error().reason());
}

TEST_F(RunQuery, NamesTheLimitItRefusesFor) {
  source.add_metric("blue", "temperature");
  source.add_metric("blue", "pressure");
  source.add_device("blue", "d1");
  source.add_device("blue", "d2");
  const auto reason_of = [&](const QueryRequest& request) {
    const auto answer = ask(request);
    return answer ? std::string("answered") : answer.error().reason();
  };
  QueryRequest request = windows(1min, {Aggregate::kAvg});
  limits.max_points = 1'439;
  EXPECT_EQ(reason_of(request), "query_max_points");
  limits.max_points = 1'440;
  EXPECT_EQ(reason_of(request), "answered");
  limits.max_range = 24h - 1ms;
  EXPECT_EQ(reason_of(request), "query_max_range");
  limits.max_range = 24h * 366;
  request.devices.clear();
  limits.max_devices = 1;
  EXPECT_EQ(reason_of(request), "query_max_devices");
  limits.max_devices = 2;
  limits.max_series = 1;
  EXPECT_EQ(reason_of(request), "query_max_series");
  limits = {};
  request.resolution.width = 1s;
  request.to = at(kStart + 32 * kDay);
  EXPECT_EQ(reason_of(request), "query_max_raw_range");
  request = windows(1h, {Aggregate::kAvg});
  request.group_by = std::vector<GroupBy>{};
  limits.max_grouped_windows = 23;
  EXPECT_EQ(reason_of(request), "query_max_grouped_windows");
  limits.max_grouped_windows = 24;
  EXPECT_EQ(reason_of(request), "answered");
}

TEST_F(RunQuery, SaysSinceWhenWhatWasAskedForIsKept) {
  source.add_metric("blue", "temperature");
  source.policies = {{.policy = PolicyId(0), .raw = 48h, .rollup_1m = 24h * 30}};
  source.add_device("blue", "d1").stored.policy = PolicyId(0);
  const auto available_from = [&](WallTime from, Resolution resolution) {
    return ask({.devices = {"d1"}, .from = from, .to = kNow, .resolution = resolution})
        ->head.available_from;
  };
  const Resolution raw;
  const Resolution minutes{.kind = Resolution::Kind::kFixed, .width = 1min};
  limits.max_raw_range = 24h * 40;
  EXPECT_EQ(available_from(kNow - 48h, raw), std::nullopt);
  EXPECT_EQ(available_from(kNow - 24h * 30, raw), kNow - 48h);
  EXPECT_EQ(available_from(kNow - 24h * 30, minutes), std::nullopt);
  EXPECT_EQ(available_from(kNow - 24h * 31, minutes), kNow - 24h * 30);
}

TEST_F(RunQuery, RefusesGroupsThatHoldTooMuch) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  std::vector<Sent> sent;
  for (std::int64_t i = 0; i < 24 * 60; ++i) {
    sent.push_back({metric, kStart + i * 60'000, std::pow(1.1, static_cast<double>(i % 60))});
  }
  device.history.compact(sent);
  QueryRequest request = windows(1h, {Aggregate::kAvg});
  request.group_by = std::vector<GroupBy>{};
  QueryMemory all(1'000'000);
  limits.memory = {.max_bytes = 24 * 500, .all = &all};
  EXPECT_TRUE(ask(request));
  request.aggregates = {Aggregate::kP95};  // 60 buckets a window
  const auto refused = ask(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "query_max_memory");
  limits.memory.max_bytes = 24 * 5'000;
  EXPECT_TRUE(ask(request));
  EXPECT_EQ(all.taken(), 0U);
}

TEST_F(RunQuery, StopsAtItsDeadline) {
  source.add_metric("blue", "temperature");
  source.add_device("blue", "d1");
  limits.timeout = 0ms;
  EXPECT_EQ(ask(windows(1h, {Aggregate::kAvg})).error().reason(), "query_timeout");
}

TEST_F(RunQuery, HoldsOneStretchOfOneDeviceInMemory) {
  const MetricKey metric = source.add_metric("blue", "temperature");
  auto& device = source.add_device("blue", "d1");
  std::mt19937 random(3);
  std::vector<Sent> sent;
  for (std::int64_t time = kStart; time < kStart + 20 * kDay; time += 60'000) {
    sent.push_back({metric, time, static_cast<double>(random())});
  }
  device.history.compact(sent);
  std::size_t all = 0;
  for (const auto& [start, bytes] : device.history.rows(Tier::kWarm)) all += bytes.size();
  const auto answer = ask({.devices = {"d1"}, .from = at(kStart), .to = at(kStart + 20 * kDay)});
  EXPECT_EQ(answer->series[0].points.size(), sent.size());
  EXPECT_LT(source.largest_slice, all / 10);
}

}  // namespace
}  // namespace sluice::tsdb
