#include "report.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::sim {
namespace {

Report good() {
  Report report{.seed = 4, .devices = 2, .is_settled = true, .was_checked = true};
  report.completeness.acknowledged = 1'000'000;
  report.completeness.in_raw = 1'000'000;
  return report;
}

TEST(Report, StatusTellsWhatWasMissingFromWhatWasNotAnswered) {
  EXPECT_EQ(good().exit_status(), 0);
  Report report = good();
  report.is_settled = false;
  EXPECT_EQ(report.exit_status(), 2);
  report.completeness.missing_in_raw = 1;
  EXPECT_EQ(report.exit_status(), 1);
}

TEST(Report, EachFaultOfTheProofIsNoSuccess) {
  for (std::uint64_t Completeness::* fault :
       {&Completeness::missing_in_raw, &Completeness::out_of_order, &Completeness::foreign,
        &Completeness::refused_in_raw, &Completeness::valid_out_of_order, &Completeness::unjudged,
        &Completeness::contradictory, &Completeness::misjudged, &Completeness::samples_missing,
        &Completeness::samples_wrong, &Completeness::samples_duplicated,
        &Completeness::samples_foreign}) {
    Report report = good();
    report.completeness.*fault = 1;
    EXPECT_EQ(report.exit_status(), 1);
  }
}

TEST(Report, DuplicatesAreAFaultOnlyWhereNothingBroke) {
  Report report = good();
  report.completeness.raw_duplicated = 1;
  EXPECT_EQ(report.exit_status(), 0);
  report.forbids_duplicates = true;
  EXPECT_EQ(report.exit_status(), 1);
}

TEST(Report, OneMissingInAMillionIsNotAHundredPercent) {
  EXPECT_TRUE(good().table().contains("100.000 %"));
  Report report = good();
  report.completeness.missing_in_raw = 1;
  EXPECT_TRUE(report.table().contains("99.999 %")) << report.table();
}

TEST(Moment, IsALineOfJson) {
  const std::string line = Moment{.connected = 7, .acknowledged = 3}.json(12.5);
  EXPECT_FALSE(line.contains('\n'));
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["at"], 12.5);
  EXPECT_EQ(json["connected"], 7);
  EXPECT_EQ(json["acknowledged"], 3);
}

TEST(Report, IsJson) {
  const auto json = nlohmann::json::parse(good().json());
  EXPECT_EQ(json["completeness"]["raw"]["messages"], 1'000'000);
  EXPECT_FALSE(json["completeness"].contains("samples"));
  EXPECT_EQ(json["status"], 0);
}

}  // namespace
}  // namespace sluice::sim
