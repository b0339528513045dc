#include "core/promql/evaluator.h"

#include "core/promql/answer.h"
#include "core/promql/form.h"
#include "core/promql/parser.h"

#include <algorithm>
#include <cmath>
#include <format>

#include <gtest/gtest.h>

namespace sluice::tsdb::promql {
namespace {

/// Series by name and device; hands out the values asked for.
class FakeSeries final : public SeriesSource {
 public:
  void add(const std::string& name, const std::string& device, std::vector<TimedValue> samples) {
    all.push_back({.labels = LabelSet({{"__name__", name}, {"device", device}, {"fleet", "north"}}),
                   .samples = std::move(samples),
                   .rollups = {},
                   .bucket_ms = 0});
  }
  Result<std::vector<StoredSeries>> select(const std::vector<Matcher>& matchers,
                                           const Selection& selection) override {
    std::vector<StoredSeries> found;
    for (const StoredSeries& series : all) {
      if (!std::ranges::all_of(matchers,
                               [&](const Matcher& each) { return each.matches(series.labels); })) {
        continue;
      }
      found.push_back(series);
      std::erase_if(found.back().samples, [&](const TimedValue& sample) {
        return sample.time_ms <= selection.from_ms || sample.time_ms > selection.to_ms;
      });
    }
    return found;
  }

  std::vector<StoredSeries> all;
};

class PromqlEvaluator : public ::testing::Test {
 protected:
  PromqlEvaluator() {
    // A counter with a reset and a gauge, every 10 s.
    series.add("counter", "a", {{10'000, 1}, {20'000, 3}, {30'000, 6}, {40'000, 1}, {50'000, 5}});
    series.add("counter", "b",
               {{10'000, 100}, {20'000, 110}, {30'000, 120}, {40'000, 130}, {50'000, 140}});
    series.add("gauge", "a", {{10'000, 4}, {20'000, -2}, {30'000, 8}, {40'000, 6}, {50'000, 0.5}});
    series.add("gauge", "b", {{10'000, 1}, {20'000, 2}, {30'000, 3}, {40'000, 4}, {50'000, 5}});
  }

  /// The answer at one moment: "labels value" in order, blanks between.
  std::string at(std::int64_t ms, std::string_view query) {
    const auto expr = parse_query(query);
    if (!expr) return expr.error().message();
    const auto value = evaluate(**expr, {.start_ms = ms, .end_ms = ms, .step_ms = 1}, series, {});
    if (!value) return value.error().message();
    if (value->type == ValueType::kScalar) return spelled(value->scalar[0]);
    std::vector<std::string> shown;
    for (const Line& line : value->lines) {
      std::string labels;
      for (const auto& [name, text] : line.labels) {
        if (name == kNameLabel) labels += text + ".";
        if (name == "device") labels += text;
      }
      shown.push_back(labels + " " + spelled(line.values[0]));
    }
    std::ranges::sort(shown);
    std::string all;
    for (const std::string& each : shown) all += (all.empty() ? "" : ", ") + each;
    return all;
  }

  FakeSeries series;
};

TEST_F(PromqlEvaluator, TakesTheLatestValueThatIsNotTooOld) {
  EXPECT_EQ(at(30'000, "gauge"), "gauge.a 8, gauge.b 3");
  EXPECT_EQ(at(39'999, "gauge{device='a'}"), "gauge.a 8");
  EXPECT_EQ(at(9'999, "gauge"), "");
  EXPECT_EQ(at(50'000 + 299'999, "gauge{device='b'}"), "gauge.b 5");
  EXPECT_EQ(at(50'000 + 300'000, "gauge{device='b'}"), "");
  EXPECT_EQ(at(50'000, "gauge{device='b'} offset 20s"), "gauge.b 3");
}

TEST_F(PromqlEvaluator, KnowsRatesAsPrometheusDoes) {
  // After 0 s, up to 50 s: 1, 3, 6, 1, 5. Raised by 4 and, with the reset, by 6: 10 in 40 s. Half a
  // pause would be 5 s; zero was 40 * 1/10 = 4 s before the first; nothing is missing at the end.
  EXPECT_EQ(at(50'000, "increase(counter{device='a'}[50s])"), "a 11");
  EXPECT_EQ(at(50'000, "rate(counter{device='a'}[50s])"), "a 0.22000000000000003");
  // 40 in 40 s, the first 10 s after the beginning, which is less than 1.1 pauses.
  EXPECT_EQ(at(50'000, "increase(counter{device='b'}[50s])"), "b 50");
  EXPECT_EQ(at(50'000, "rate(counter{device='b'}[50s])"), "b 1");
  // 15 s after the beginning there is a gap of more than 1.1 pauses: half a pause counts.
  EXPECT_EQ(at(55'000, "delta(gauge{device='b'}[60s])"), "b 5");
  // As told by Prometheus 2.53 for the same values.
  EXPECT_EQ(at(52'000, "increase(counter{device='a'}[43s])"), "a 10.75");
  EXPECT_EQ(at(47'000, "rate(counter[35s])"), "a 0.2, b 1");
  EXPECT_EQ(at(58'000, "rate(counter[55s])"), "a 0.23636363636363636, b 1");
  EXPECT_EQ(at(49'000, "delta(gauge[33s])"), "a 13.2, b 3.3");
  EXPECT_EQ(at(15'000, "rate(counter{device='a'}[10s])"), "");  // one value has no rate
}

TEST_F(PromqlEvaluator, AggregatesOverTime) {
  EXPECT_EQ(at(50'000, "avg_over_time(gauge{device='a'}[50s])"), "a 3.3");
  EXPECT_EQ(at(50'000, "min_over_time(gauge{device='a'}[50s])"), "a -2");
  EXPECT_EQ(at(50'000, "max_over_time(gauge{device='a'}[50s])"), "a 8");
  EXPECT_EQ(at(50'000, "sum_over_time(gauge{device='a'}[50s])"), "a 16.5");
  EXPECT_EQ(at(50'000, "count_over_time(gauge{device='a'}[40s])"), "a 4");  // without its left end
  EXPECT_EQ(at(50'000, "last_over_time(gauge{device='a'}[50s])"), "gauge.a 0.5");
  EXPECT_EQ(at(50'000, "quantile_over_time(0.5, gauge{device='b'}[50s])"), "b 3");
  EXPECT_EQ(at(50'000, "quantile_over_time(0.9, gauge{device='b'}[50s])"), "b 4.6");
  EXPECT_EQ(at(50'000, "quantile_over_time(2, gauge{device='b'}[50s])"), "b +Inf");
}

TEST_F(PromqlEvaluator, PutsSeriesTogether) {
  EXPECT_EQ(at(30'000, "sum(gauge)"), " 11");
  EXPECT_EQ(at(30'000, "avg by (device) (gauge)"), "a 8, b 3");
  EXPECT_EQ(at(30'000, "count({fleet='north',device=~'.+'}) by (device)"), "a 2, b 2");
  EXPECT_EQ(at(30'000, "min without (device) (gauge)"), " 3");
  EXPECT_EQ(at(30'000, "max(gauge)"), " 8");
  EXPECT_EQ(at(30'000, "topk(1, gauge)"), "gauge.a 8");
  EXPECT_EQ(at(30'000, "bottomk(1, gauge)"), "gauge.b 3");
  EXPECT_EQ(at(30'000, "topk(0, gauge)"), "");
  EXPECT_EQ(at(30'000, "quantile(0.5, gauge)"), " 5.5");
}

TEST_F(PromqlEvaluator, Calculates) {
  EXPECT_EQ(at(0, "1 + 2 * 3 - 4 / 8"), "6.5");
  EXPECT_EQ(at(0, "7 % 3 + 2 ^ 3 ^ 2"), "513");
  EXPECT_EQ(at(0, "-7 % 3"), "-1");
  EXPECT_EQ(at(0, "1 / 0"), "+Inf");
  EXPECT_EQ(at(0, "1 > bool 2"), "0");
  EXPECT_EQ(at(12'500, "time()"), "12.5");
  EXPECT_EQ(at(30'000, "gauge * 2"), "a 16, b 6");
  EXPECT_EQ(at(30'000, "gauge > 5"), "gauge.a 8");
  EXPECT_EQ(at(30'000, "5 < gauge"), "gauge.a 8");
  EXPECT_EQ(at(30'000, "gauge > bool 5"), "a 1, b 0");
  EXPECT_EQ(at(30'000, "counter - gauge"), "a -2, b 117");
  EXPECT_EQ(at(30'000, "counter / on(device) gauge{device='a'}"), "a 0.75");
  EXPECT_EQ(at(30'000, "counter > ignoring(fleet) gauge"), "counter.b 120");
  EXPECT_EQ(at(30'000, "vector(1) + vector(2)"), " 3");
  EXPECT_EQ(at(30'000, "-abs(-gauge)"), "a -8, b -3");
}

TEST_F(PromqlEvaluator, RefusesPairsThatAreNotOneToOne) {
  EXPECT_TRUE(at(30'000, "counter + on(fleet) gauge").contains("many-to-many"));
  EXPECT_TRUE(at(30'000, "counter + on(fleet) gauge{device='a'}").contains("many-to-one"));
  EXPECT_TRUE(at(30'000, "abs({fleet='north'})").contains("same labelset"));
}

TEST_F(PromqlEvaluator, BoundsSeriesTimesSteps) {
  const auto expr = parse_query("gauge").value();
  const Steps steps{.start_ms = 0, .end_ms = 50'000, .step_ms = 10'000};
  EXPECT_TRUE(evaluate(*expr, steps, series, {.max_points = 12}));
  EXPECT_EQ(evaluate(*expr, steps, series, {.max_points = 11}).error().reason(),
            "query_max_points");
}

TEST_F(PromqlEvaluator, WritesWhatPrometheusWrites) {
  const auto written = [&](std::string_view query, const Steps& steps, bool is_range) {
    const auto expr = parse_query(query).value();
    std::string out;
    const WritePiece write = [&](std::string_view piece) -> Result<> {
      out += piece;
      return {};
    };
    auto value = evaluate(*expr, steps, series, {}).value();
    EXPECT_TRUE(is_range ? write_matrix(std::move(value), steps, write)
                         : write_instant(std::move(value), steps, write));
    return out;
  };
  EXPECT_EQ(
      written("gauge{device='b'}", {.start_ms = 5'000, .end_ms = 25'500, .step_ms = 10'250}, true),
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"gauge",)"
      R"("device":"b","fleet":"north"},"values":[[15.250,"1"],[25.500,"2"]]}]}})");
  EXPECT_EQ(
      written("1e21", {}, false),
      R"({"status":"success","data":{"resultType":"scalar","result":[0,"1000000000000000000000"]}})");
  EXPECT_EQ(
      written("1 + 1", {.start_ms = 0, .end_ms = 1'000, .step_ms = 1'000}, true),
      R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"2"],[1,"2"]]}]}})");
  EXPECT_EQ(written("\"hello\"", {}, false),
            R"({"status":"success","data":{"resultType":"string","result":[0,"hello"]}})");
}

TEST(PromqlForm, ReadsFieldsTimesAndSteps) {
  Form form;
  ASSERT_TRUE(form.add_encoded(
      "query=a%20%2B+b&start=1.5&step=15s&match[]=x&match%5B%5D=y&end=2026-01-01T00:00:00Z"));
  EXPECT_EQ(form.text("query"), "a + b");
  EXPECT_EQ(form.time("start", std::nullopt).value(), 1'500);
  EXPECT_EQ(form.time("end", std::nullopt).value(), 1'767'225'600'000);
  EXPECT_EQ(form.step("step").value(), 15'000);
  EXPECT_EQ(form.all("match[]"), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(form.time("none", 7).value(), 7);
  EXPECT_FALSE(form.time("none", std::nullopt));
  EXPECT_FALSE(form.add_encoded("a=%"));
  EXPECT_FALSE(form.add_encoded("a=%zz"));
  for (const char* wrong : {"0", "-1", "nan", "inf", "1e300", ""}) {
    Form other;
    other.add("step", wrong);
    EXPECT_FALSE(other.step("step")) << wrong;
  }
}

}  // namespace
}  // namespace sluice::tsdb::promql
