#include "prometheus_answer.h"

#include <cmath>
#include <format>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::status {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

constexpr TimeGrid kGrid{.first_ms = 100'000, .step_ms = 2'000, .count = 4};

std::string matrix(std::string_view series) {
  return std::format(R"({{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}})",
                     series);
}

auto read(std::string_view body) { return read_matrix(body, kGrid, {"line"}); }

std::string why(std::string_view body) {
  const auto lines = read(body);
  return lines ? "" : lines.error().message();
}

TEST(TimeGrid, EndsAtTheLastWholeStep) {
  const TimeGrid grid = TimeGrid::until(107'999, 2'000, 4);
  EXPECT_EQ(grid.first_ms, 100'000);
  EXPECT_EQ(grid.last_ms(), 106'000);
}

TEST(PrometheusAnswer, PutsPointsAtTheirMoments) {
  const auto lines =
      read(matrix(R"({"metric":{"line":"In"},"values":[[102,"1.5"],[106,"2e-05"]]})"));
  ASSERT_TRUE(lines) << lines.error().message();
  EXPECT_THAT(lines->at("In"), ElementsAre(IsNan(), 1.5, IsNan(), 2e-05));
}

TEST(PrometheusAnswer, WhatIsNoNumberIsNoPoint) {
  const auto lines = read(matrix(
      R"({"metric":{"line":"p99"},"values":[[100,"NaN"],[102,"+Inf"],[104,"-Inf"],[106,"4x"]]})"));
  ASSERT_TRUE(lines) << lines.error().message();
  EXPECT_THAT(lines->at("p99"), ElementsAre(IsNan(), IsNan(), IsNan(), IsNan()));
}

TEST(PrometheusAnswer, NamesLinesByTheLabelsThatAreThere) {
  const std::string body =
      matrix(R"({"metric":{"a":"x","b":"y"},"values":[]},{"metric":{"b":"z"},"values":[]})");
  const auto lines = read_matrix(body, kGrid, {"a", "b"});
  ASSERT_TRUE(lines) << lines.error().message();
  EXPECT_EQ(lines->count("x y"), 1U);
  EXPECT_EQ(lines->count("z"), 1U);
}

TEST(PrometheusAnswer, RefusesWhatItDidNotAskFor) {
  EXPECT_THAT(why("<html>"), HasSubstr("not understood"));
  EXPECT_THAT(why("[]"), HasSubstr("not understood"));
  EXPECT_THAT(why(R"({"status":"error","errorType":"timeout","error":"x"})"), HasSubstr("success"));
  EXPECT_THAT(why(R"({"status":"success"})"), HasSubstr("matrix"));
  EXPECT_THAT(why(R"({"status":"success","data":{"resultType":"vector","result":[]}})"),
              HasSubstr("matrix"));
  EXPECT_THAT(why(matrix(R"(7)")), HasSubstr("labels"));
  EXPECT_THAT(why(matrix(R"({"metric":{},"values":7})")), HasSubstr("points"));
  EXPECT_THAT(why(matrix(R"({"metric":{},"values":[[100]]})")), HasSubstr("point"));
  EXPECT_THAT(why(matrix(R"({"metric":{},"values":[[100,1]]})")), HasSubstr("point"));
  EXPECT_THAT(why(matrix(R"({"metric":{},"values":[["100","1"]]})")), HasSubstr("point"));
}

TEST(PrometheusAnswer, RefusesPointsOutsideOfTheGrid) {
  for (const char* time : {"98", "108", "-1", "1e300", "0"}) {
    EXPECT_THAT(why(matrix(std::format(R"({{"metric":{{}},"values":[[{},"1"]]}})", time))),
                HasSubstr("outside"))
        << time;
  }
}

TEST(PrometheusAnswer, RefusesMoreThanThePageCouldShow) {
  const std::string point = R"([100,"1"])";
  std::string points = point;
  for (std::size_t i = 0; i < kGrid.count; ++i) points += "," + point;
  EXPECT_THAT(why(matrix(std::format(R"({{"metric":{{}},"values":[{}]}})", points))),
              HasSubstr("more than were asked for"));
  std::string series = R"({"metric":{},"values":[]})";
  for (std::size_t i = 0; i < kMaxLines; ++i) series += R"(,{"metric":{},"values":[]})";
  EXPECT_THAT(why(matrix(series)), HasSubstr("too many series"));
  EXPECT_THAT(why(matrix(std::format(R"({{"metric":{{"line":"{}"}},"values":[]}})",
                                     std::string(kMaxNameSize + 1, 'x')))),
              HasSubstr("too long"));
}

}  // namespace
}  // namespace sluice::status
