#include <sluice/postgres/rows.h>

#include "test_pool.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <sluice/postgres/transaction.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using testing::TestDatabase;

class RowsTest : public ::testing::Test {
 protected:
  /// Runs one statement in a transaction of its own.
  Result<Rows> run(Sql sql, Params params = {}) {
    return transaction(*pool, {}, [&](Transaction& tx) { return tx.query(sql, params); });
  }

  TestDatabase database;
  TestPool pool{database.config()};
};

TEST_F(RowsTest, PassesValuesOfAllTypesThereAndBack) {
  const std::string bytes("\0\xff\\'\n", 5);
  const Uuid uuid = *Uuid::parse("01234567-89ab-7def-8123-456789abcdef");
  const WallTime time(1'767'225'600'123ms);
  const std::vector<std::string> texts{"", "a,b", "\"quoted\" \\ {}", "NULL", "ü"};
  const std::vector<std::int64_t> numbers{std::numeric_limits<std::int64_t>::min(), 0, 7};
  const std::vector<double> doubles{0.1, -1e300};
  const auto rows = run(
      "SELECT $1::boolean AS b, $2::smallint AS i2, $3::integer AS i4, $4::bigint AS i8, "
      "$5::float8 AS d, "
      "$6::text AS t, $7::bytea AS by, $8::uuid AS u, $9::timestamptz AS ts, $10::text[] AS ta, "
      "$11::bigint[] AS ia, $12::float8[] AS da, $13::jsonb AS j, $14::text AS missing",
      {true, std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int32_t>::max(),
       std::numeric_limits<std::int64_t>::min(), std::numeric_limits<double>::denorm_min(),
       "it's \\ ü", BytesView(bytes), uuid, time, texts, numbers, doubles, JsonView(R"({"a": 1})"),
       nullptr});
  ASSERT_TRUE(rows) << rows.error().message();
  const Row row = rows->one();
  EXPECT_TRUE(row.get<bool>("b"));
  EXPECT_EQ(row.get<std::int16_t>("i2"), std::numeric_limits<std::int16_t>::min());
  EXPECT_EQ(row.get<std::int32_t>("i4"), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(row.get<std::int64_t>("i8"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(row.get<double>("d"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(row.text("t"), "it's \\ ü");
  EXPECT_EQ(row.bytes("by"), bytes);
  EXPECT_EQ(row.get<Uuid>("u"), uuid);
  EXPECT_EQ(row.get<WallTime>("ts"), time);
  EXPECT_EQ(row.get<std::vector<std::string>>("ta"), texts);
  EXPECT_EQ(row.get<std::vector<std::int64_t>>("ia"), numbers);
  EXPECT_EQ(row.get<std::vector<double>>("da"), doubles);
  EXPECT_EQ(row.get<std::string>("j"), R"({"a": 1})");
  EXPECT_TRUE(row.is_null("missing"));
  EXPECT_EQ(row.get<std::optional<std::string>>("missing"), std::nullopt);
  EXPECT_EQ(row.optional_bytes("missing"), std::nullopt);
}

TEST_F(RowsTest, PassesNumbersThatAreNone) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto rows =
      run("SELECT $1::float8, $2::float8, $3::float8", {std::nan(""), infinity, -infinity});
  ASSERT_TRUE(rows);
  EXPECT_TRUE(std::isnan(rows->one().get<double>(0)));
  EXPECT_EQ(rows->one().get<double>(1), infinity);
  EXPECT_EQ(rows->one().get<double>(2), -infinity);
}

TEST_F(RowsTest, ReadsABinaryAnswerAsATextOne) {
  const std::string bytes("\0\xff\\'\n", 5);
  const Uuid uuid = *Uuid::parse("01234567-89ab-7def-8123-456789abcdef");
  const WallTime time(1'767'225'600'123ms);
  const WallTime before_christ = std::chrono::sys_days(std::chrono::year(-43) / 3 / 15) + 1ms;
  const Statement statement(
      "SELECT ?::boolean AS b, false AS no, ?::smallint AS i2, ?::integer AS i4, ?::bigint AS i8, "
      "?::float8 AS d, ?::text AS t, ?::bytea AS by, ''::bytea AS none, ?::uuid AS u, "
      "?::timestamptz AS ts, ?::timestamptz AS old, NULL::bytea AS missing, 'x' AS literal",
      {true, std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int32_t>::max(),
       std::numeric_limits<std::int64_t>::min(), -0.0, "it's \\ ü", BytesView(bytes), uuid, time,
       before_christ});
  for (const Answer answer : {Answer::kText, Answer::kBinary}) {
    const auto rows =
        transaction(*pool, {}, [&](Transaction& tx) { return tx.query(statement, answer); });
    ASSERT_TRUE(rows) << rows.error().message();
    const Row row = rows->one();
    EXPECT_TRUE(row.get<bool>("b"));
    EXPECT_FALSE(row.get<bool>("no"));
    EXPECT_EQ(row.get<std::int16_t>("i2"), std::numeric_limits<std::int16_t>::min());
    EXPECT_EQ(row.get<std::int32_t>("i4"), std::numeric_limits<std::int32_t>::max());
    EXPECT_EQ(row.get<std::int64_t>("i8"), std::numeric_limits<std::int64_t>::min());
    EXPECT_TRUE(std::signbit(row.get<double>("d")));
    EXPECT_EQ(row.text("t"), "it's \\ ü");
    EXPECT_EQ(row.bytes("by"), bytes);
    EXPECT_EQ(row.bytes("none"), "");
    EXPECT_EQ(row.get<Uuid>("u"), uuid);
    EXPECT_EQ(row.get<WallTime>("ts"), time);
    EXPECT_EQ(row.get<WallTime>("old"), before_christ);
    EXPECT_EQ(row.optional_bytes("missing"), std::nullopt);
    EXPECT_EQ(row.get<std::string>("literal"), "x");
  }
}

using BinaryAnswerDeathTest = RowsTest;

TEST_F(BinaryAnswerDeathTest, ABinaryValueReadAsAnotherTypeIsABug) {
  const Statement statement(
      "SELECT 1::bigint AS number, ARRAY['a'] AS list, 'infinity'::timestamptz AS never");
  const auto rows =
      transaction(*pool, {}, [&](Transaction& tx) { return tx.query(statement, Answer::kBinary); });
  ASSERT_TRUE(rows);
  const Row row = rows->one();
  EXPECT_DEATH(static_cast<void>(row.get<std::int32_t>("number")), "\"number\" is a number of 32");
  EXPECT_DEATH(static_cast<void>(row.get<double>("number")), "\"number\" is a number");
  EXPECT_DEATH(static_cast<void>(row.bytes("number")), "\"number\" is a bytea");
  EXPECT_DEATH(static_cast<void>(row.text("number")), "\"number\" is a text");
  EXPECT_DEATH(static_cast<void>(row.get<std::vector<std::string>>("list")), "\"list\" is a text");
  EXPECT_DEATH(static_cast<void>(row.get<WallTime>("never")), "\"never\" is a finite");
}

}  // namespace
}  // namespace sluice::postgres
