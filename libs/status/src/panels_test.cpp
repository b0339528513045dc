#include "panels.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::status {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Panel kTwoLines{
    .id = "x", .title = "X", .unit = "s", .help = "", .lines = {}, .by_label = "", .labels = {}};

TEST(Panels, LinesOfOneChartAreOneQueryThatNamesEach) {
  Panel panel = kTwoLines;
  panel.lines = {{"In", "sum(rate(a[$w]))"}, {"Out", "rate(b[$w]) / rate(c[$w])"}};
  EXPECT_EQ(query_of(panel, 8s),
            R"(label_replace(sum(rate(a[8000ms])), "line", "In", "", "") or )"
            R"(label_replace(rate(b[8000ms]) / rate(c[8000ms]), "line", "Out", "", ""))");
}

TEST(Panels, LinesByLabelAreNamedByTheLabels) {
  Panel panel = kTwoLines;
  panel.by_label = "sum by (service, topic) (a)";
  panel.labels = {"service", "topic"};
  EXPECT_EQ(query_of(panel, 8s),
            R"(label_join(sum by (service, topic) (a), "line", " ", "service", "topic"))");
}

TEST(Panels, EachIsWholeAndHasAnIdOfItsOwn) {
  std::set<std::string_view> ids;
  for (const Panel& panel : panels()) {
    EXPECT_TRUE(ids.insert(panel.id).second) << panel.id;
    EXPECT_NE(panel.lines.empty(), panel.by_label.empty()) << panel.id;
    EXPECT_FALSE(panel.title.empty() || panel.unit.empty() || panel.help.empty()) << panel.id;
    EXPECT_THAT(query_of(panel, 60s), Not(HasSubstr("$"))) << panel.id;
  }
  EXPECT_GE(ids.size(), 6U);
}

}  // namespace
}  // namespace sluice::status
