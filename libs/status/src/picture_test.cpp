#include "picture.h"

#include "panels.h"

#include <format>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::status {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr TimeGrid kGrid{.first_ms = 100'000, .step_ms = 2'000, .count = 2};

/// A Prometheus whose answer to a query is the series of the first entry that occurs in it.
struct FakePrometheus {
  std::vector<std::pair<std::string, std::string>> series;
  std::vector<std::string> asked{};

  Ask ask() {
    return [this](const std::string& query, const TimeGrid&) -> Result<std::string> {
      asked.push_back(query);
      for (const auto& [part, result] : series) {
        if (query.contains(part)) return answer(result);
      }
      return answer("");
    };
  }
  static std::string answer(const std::string& result) {
    return std::format(R"({{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}})",
                       result);
  }
};

json picture(FakePrometheus& prometheus) {
  const auto text = take_picture(prometheus.ask(), kGrid, 8s);
  EXPECT_TRUE(text) << text.error().message();
  return text ? json::parse(*text) : json();
}

json chart(const json& picture, std::string_view id) {
  for (const json& one : picture["charts"]) {
    if (one["id"] == id) return one;
  }
  return nullptr;
}

TEST(Picture, HasEveryChartWithItsLinesInOrder) {
  FakePrometheus prometheus{
      {{"sluice_mqtt_ingested_total",
        R"({"metric":{"line":"Acknowledged"},"values":[[100,"7.123456789"],[102,"8"]]},)"
        R"({"metric":{"line":"Published"},"values":[[102,"9"]]})"}}};
  const json all = picture(prometheus);
  EXPECT_EQ(all["state"], "ok");
  EXPECT_EQ(all["first_ms"], 100'000);
  EXPECT_EQ(all["charts"].size(), panels().size());
  EXPECT_EQ(chart(all, "messages")["lines"],
            json::parse(R"([{"name":"Published","values":[null,9.0]},
                            {"name":"Acknowledged","values":[7.12346,8.0]}])"));
}

TEST(Picture, LinesWithoutAFigureAreThereAndEmpty) {
  FakePrometheus prometheus;
  EXPECT_EQ(chart(picture(prometheus), "stored")["lines"],
            json::parse(R"([{"name":"Stored","values":[]}])"));
}

TEST(Picture, TellsServicesThatAreReadyFromThoseThatAreGone) {
  FakePrometheus prometheus{
      {{"last_over_time", R"({"metric":{"line":"known","service":"a"},"values":[[102,"2"]]},)"
                          R"({"metric":{"line":"known","service":"b"},"values":[[102,"1"]]},)"
                          R"({"metric":{"line":"seen","service":"a"},"values":[[102,"2"]]},)"
                          R"({"metric":{"line":"ready","service":"a"},"values":[[102,"1"]]})"}}};
  EXPECT_EQ(picture(prometheus)["services"],
            json::parse(R"([{"name":"a","ready":1,"seen":2},{"name":"b","ready":0,"seen":0}])"));
}

TEST(Picture, AsksTheFixedQueriesAndNothingElse) {
  FakePrometheus prometheus;
  static_cast<void>(picture(prometheus));
  std::vector<std::string> expected;
  for (const Panel& panel : panels()) expected.push_back(query_of(panel, 8s));
  expected.emplace_back(services_query());
  EXPECT_EQ(prometheus.asked, expected);
}

TEST(Picture, EndsAtTheFirstQueryThatFails) {
  int asked = 0;
  const auto none = take_picture(
      [&](const std::string&, const TimeGrid&) -> Result<std::string> {
        ++asked;
        return fail(ErrorCode::kUnavailable, "refused");
      },
      kGrid, 8s);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(asked, 1);
}

TEST(Picture, SaysWhyThereIsNone) {
  const json none = json::parse(no_picture(State::kUnreachable, std::string(1000, 'x') + "\xFF"));
  EXPECT_EQ(none["state"], "unreachable");
  EXPECT_LE(none["why"].get<std::string>().size(), 300U);
  EXPECT_EQ(json::parse(no_picture(State::kUnset, "\xFF"))["why"], "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace sluice::status
