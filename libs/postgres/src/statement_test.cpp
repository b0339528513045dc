#include <sluice/postgres/statement.h>

#include "timestamp.h"

#include <limits>

#include <sluice/postgres/error_map.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

TEST(Statement, NumbersPlaceholdersAcrossParts) {
  Statement statement("SELECT id FROM devices");
  statement.where("tenant_id = ?", {"acme"})
      .where("(created_at, id) > (?, ?)", {1, 2})
      .append(" LIMIT ?", {3});
  EXPECT_EQ(
      statement.text(),
      "SELECT id FROM devices WHERE (tenant_id = $1) AND ((created_at, id) > ($2, $3)) LIMIT $4");
  ASSERT_EQ(statement.params().size(), 4U);
  EXPECT_EQ(statement.params()[0].encoded(), "acme");
  EXPECT_EQ(statement.params()[3].encoded(), "3");
}

TEST(Statement, QuotesIdentifiers) {
  EXPECT_EQ(Statement("DROP TABLE ").identifier("a\"; DROP TABLE b").text(),
            "DROP TABLE \"a\"\"; DROP TABLE b\"");
}

TEST(StatementDeathTest, AbortsOnWrongNumberOfValuesOrUnusableIdentifiers) {
  EXPECT_DEATH(Statement("SELECT ?"), "BUG");
  EXPECT_DEATH(Statement("SELECT ?", {1, 2}), "BUG");
  EXPECT_DEATH(quote_identifier(std::string(64, 'a')), "BUG");
  EXPECT_DEATH(quote_identifier(std::string_view("a\0b", 3)), "BUG");
  EXPECT_DEATH(quote_identifier(""), "BUG");
}

TEST(Param, WritesEveryKindOfValue) {
  EXPECT_EQ(Param(nullptr).kind(), Param::Kind::kNull);
  EXPECT_EQ(Param(std::optional<int>()).kind(), Param::Kind::kNull);
  EXPECT_EQ(Param(std::optional<int>(7)).encoded(), "7");
  EXPECT_EQ(Param(true).encoded(), "t");
  EXPECT_EQ(Param(std::numeric_limits<std::uint64_t>::max()).encoded(), "18446744073709551615");
  EXPECT_EQ(Param(0.1).encoded(), "0.1");
  EXPECT_EQ(Param(-std::numeric_limits<double>::infinity()).encoded(), "-Infinity");
  EXPECT_EQ(Param(BytesView("\x01")).kind(), Param::Kind::kBytes);
  EXPECT_EQ(Param(std::vector<std::string>{"a", "b\"\\,"}).encoded(), R"({"a","b\"\\,"})");
  EXPECT_EQ(Param(std::vector<std::int64_t>{}).encoded(), "{}");
  EXPECT_EQ(Param(std::vector<double>{1.5, -2}).encoded(), "{1.5,-2}");
}

void expect_same_time(WallTime time, std::string_view written, std::string_view by_postgres) {
  EXPECT_EQ(format_timestamp(time), written);
  EXPECT_EQ(parse_timestamp(by_postgres), time);
}

TEST(Timestamp, IsWrittenAndReadAsPostgresDoes) {
  using namespace std::chrono;
  expect_same_time(sys_days(2026y / 1 / 31) + 12h + 5ms, "2026-01-31T12:00:00.005Z",
                   "2026-01-31 12:00:00.005+00");
  expect_same_time(sys_days(1y / 1 / 1), "0001-01-01T00:00:00.000Z", "0001-01-01 00:00:00+00");
  expect_same_time(sys_days(year(0) / 2 / 29), "0001-02-29T00:00:00.000Z BC",
                   "0001-02-29 00:00:00+00 BC");
  expect_same_time(sys_days(year(12345) / 6 / 7), "12345-06-07T00:00:00.000Z",
                   "12345-06-07 00:00:00+00");
  EXPECT_EQ(parse_timestamp("infinity"), std::nullopt);
  EXPECT_EQ(parse_timestamp("2026-01-31 12:00:00+02"), std::nullopt);
  EXPECT_EQ(format_timestamp(WallTime::max()), "out of range");
  expect_same_time(sys_days(year::max() / 12 / 31) + 23h, "32767-12-31T23:00:00.000Z",
                   "32767-12-31 23:00:00+00");
}

TEST(ErrorMap, FollowsItsTable) {
  const auto check = [](std::string_view sqlstate, ErrorCode code) {
    EXPECT_EQ(code_of_sqlstate(sqlstate), code) << sqlstate;
  };
  for (const auto* state : {"08006", "57P01", "57P05", "25006", "28P01", "3D000"})
    check(state, ErrorCode::kUnavailable);
  for (const auto* state : {"53100", "53300"}) check(state, ErrorCode::kResourceExhausted);
  for (const auto* state : {"57014", "55P03", "25P03", "25P04"})
    check(state, ErrorCode::kDeadlineExceeded);
  for (const auto* state : {"40001", "40P01"}) check(state, ErrorCode::kAborted);
  for (const auto* state : {"23505", "23P01", "42P04", "42P07"})
    check(state, ErrorCode::kAlreadyExists);
  for (const auto* state : {"23503", "23001"}) check(state, ErrorCode::kFailedPrecondition);
  for (const auto* state : {"23502", "23514", "22P02", "54000", "54001"})
    check(state, ErrorCode::kInvalidArgument);
  check("42501", ErrorCode::kPermissionDenied);
  check("0A000", ErrorCode::kUnimplemented);
  for (const auto* state : {"42601", "42P01", "XX000", "57P06", ""})
    check(state, ErrorCode::kInternal);
}

}  // namespace
}  // namespace sluice::postgres
