#include "report.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

TEST(Report, SaysTheSameAsLineAndAsJson) {
  Report report("pub");
  report.add_count("acked", 10, "acked");
  report.add("cpu_seconds_per_million", 4.5, "CPU-s/M");
  report.add("seconds", 1234.5678, "");
  EXPECT_EQ(report.line(), "pub: 10 acked, 4.500 CPU-s/M");
  EXPECT_EQ(report.json(), R"({"scenario": "pub", "acked": 10, "cpu_seconds_per_million": 4.5000, )"
                           R"("seconds": 1234.5678, "failures": {}, "inconsistencies": {}})");
  EXPECT_EQ(report.exit_status(), 0);
}

TEST(Report, LatenciesAreInMicroseconds) {
  swarm::Histogram histogram;
  for (int i = 0; i < 100; ++i) histogram.record(63ns);
  Report report("pub");
  report.add_latency("none", swarm::Histogram());
  report.add_latency("puback", histogram);
  EXPECT_EQ(report.line(), "pub: puback us p50 0 p95 0 p99 0 p999 0 max 0");
  EXPECT_TRUE(report.json().contains(R"("puback_p50_us": 0.1, "puback_p95_us": 0.1)"));
  EXPECT_FALSE(report.json().contains("none"));
}

TEST(Report, NotesAreTexts) {
  Report report("storm");
  report.add_note("crowd", "says \"no\"");
  EXPECT_EQ(report.line(), "storm: crowd: says \"no\"");
  EXPECT_TRUE(report.json().contains(R"("crowd": "says \"no\"")"));
}

TEST(Report, FailuresAreCountedByReasonAndAreNoFault) {
  Tally tally;
  tally.failed("refused_not_authorized", 3);
  tally.failed("tcp_reset", 0);
  Report report("conn");
  report.add_outcome(tally);
  EXPECT_EQ(report.line(), "conn: ; 3 refused_not_authorized");
  EXPECT_TRUE(report.json().contains(R"("failures": {"refused_not_authorized": 3})"));
  EXPECT_EQ(report.exit_status(), 0);
}

TEST(Report, AnInconsistencyIsWorseThanAnEarlyEnd) {
  Report report("pub");
  report.set_incomplete("time ran out");
  EXPECT_EQ(report.exit_status(), 1);
  EXPECT_TRUE(report.json().contains(R"("incomplete": "time ran out")"));
  Tally tally;
  tally.inconsistent("unexpected_puback");
  report.add_outcome(tally);
  EXPECT_EQ(report.exit_status(), 2);
  EXPECT_TRUE(report.line().contains("INCONSISTENT: 1 unexpected_puback"));
}

TEST(Tally, AddsUp) {
  Tally one, two;
  one.acked = 1;
  one.failed("x");
  two.acked = 2;
  two.failed("x");
  two.failed("y");
  two.delivering.record(1ms);
  one.add(two);
  EXPECT_EQ(one.acked, 3U);
  EXPECT_EQ(one.failures["x"], 2U);
  EXPECT_EQ(one.failures["y"], 1U);
  EXPECT_EQ(one.delivering.count(), 1U);
}

}  // namespace

}  // namespace sluice::load
