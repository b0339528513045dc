#include <sluice/postgres/copy_writer.h>

#include "test_pool.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

using namespace std::chrono_literals;
using testing::TestDatabase;

// std::chrono::year ends there.
constexpr WallTime kLastTime =
    std::chrono::sys_days(std::chrono::year::max() / 12 / 31) + 23h + 59min + 59s + 999ms;

struct Sample {
  std::int16_t i2;
  std::int32_t i4;
  std::int64_t i8;
  double f8;
  bool b;
  std::string t;
  std::string by;
  WallTime ts;
  Uuid u;
  std::vector<double> fa;
  std::vector<std::string> ta;
};

const std::array kColumns = {
    CopyColumn{"i2", ColumnType::kInt2},        CopyColumn{"i4", ColumnType::kInt4},
    CopyColumn{"i8", ColumnType::kInt8},        CopyColumn{"f8", ColumnType::kFloat8},
    CopyColumn{"b", ColumnType::kBool},         CopyColumn{"t", ColumnType::kText},
    CopyColumn{"by", ColumnType::kBytea},       CopyColumn{"ts", ColumnType::kTimestamptz},
    CopyColumn{"u", ColumnType::kUuid},         CopyColumn{"j", ColumnType::kJsonb},
    CopyColumn{"fa", ColumnType::kFloat8Array}, CopyColumn{"ta", ColumnType::kTextArray},
};

class CopyWriterTest : public ::testing::Test {
 protected:
  CopyWriterTest() {
    database.execute(
        "CREATE TABLE samples (id int GENERATED ALWAYS AS IDENTITY, i2 int2, i4 int4, i8 int8, f8 "
        "float8, b boolean, "
        "t text, by bytea, ts timestamptz, u uuid, j jsonb, fa float8[], ta text[])");
  }

  static void write(CopyWriter& copy, const Sample& sample) {
    copy.int2(sample.i2);
    copy.int4(sample.i4);
    copy.int8(sample.i8);
    copy.float8(sample.f8);
    copy.boolean(sample.b);
    copy.text(sample.t);
    copy.bytea(sample.by);
    copy.timestamptz(sample.ts);
    copy.uuid(sample.u);
    copy.jsonb(R"({"k": [1, null]})");
    copy.float8_array(sample.fa);
    copy.text_array(sample.ta);
  }

  static void expect_same(const Row& row, const Sample& sample) {
    EXPECT_EQ(row.get<std::int16_t>("i2"), sample.i2);
    EXPECT_EQ(row.get<std::int32_t>("i4"), sample.i4);
    EXPECT_EQ(row.get<std::int64_t>("i8"), sample.i8);
    const double f8 = row.get<double>("f8");
    EXPECT_TRUE(f8 == sample.f8 || (std::isnan(f8) && std::isnan(sample.f8))) << f8;
    EXPECT_EQ(std::signbit(f8), std::signbit(sample.f8));
    EXPECT_EQ(row.get<bool>("b"), sample.b);
    EXPECT_EQ(row.text("t"), sample.t);
    EXPECT_EQ(row.bytes("by"), sample.by);
    EXPECT_EQ(row.get<WallTime>("ts"), sample.ts);
    EXPECT_EQ(row.get<Uuid>("u"), sample.u);
    EXPECT_EQ(row.text("j"), R"({"k": [1, null]})");
    EXPECT_EQ(row.get<std::vector<double>>("fa"), sample.fa);
    EXPECT_EQ(row.get<std::vector<std::string>>("ta"), sample.ta);
  }

  Result<> copy_of_texts(std::span<const std::string> texts) {
    return transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
      SLUICE_TRY_ASSIGN(CopyWriter copy,
                        CopyWriter::begin(tx, {.table = "samples"}, {{"t", ColumnType::kText}}));
      for (const std::string& text : texts) {
        copy.text(text);
        SLUICE_TRY(copy.end_row());
      }
      SLUICE_TRY(copy.finish());
      return {};
    });
  }
  std::string count() { return database.query_value("SELECT count(*) FROM samples"); }

  TestDatabase database;
  TestPool pool{database.config()};
};

TEST_F(CopyWriterTest, WritesValuesOfAllTypesToTheirExtremes) {
  using std::numeric_limits;
  const std::string bytes("\0\xff\\x", 4);
  const Uuid uuid = *Uuid::parse("ffffffff-ffff-7fff-bfff-ffffffffffff");
  const std::vector<Sample> samples = {
      {numeric_limits<std::int16_t>::min(),
       numeric_limits<std::int32_t>::min(),
       numeric_limits<std::int64_t>::min(),
       numeric_limits<double>::lowest(),
       false,
       "",
       "",
       WallTime(-1ms),
       Uuid{},
       {},
       {}},
      {numeric_limits<std::int16_t>::max(),
       numeric_limits<std::int32_t>::max(),
       numeric_limits<std::int64_t>::max(),
       numeric_limits<double>::infinity(),
       true,
       "ü\t\n\\N",
       bytes,
       WallTime(1'767'225'600'123ms),
       uuid,
       {-0.0, numeric_limits<double>::infinity(), 5e-324},
       {"", "NULL", "\"{,}\\", "ü"}},
      {0,
       0,
       0,
       numeric_limits<double>::quiet_NaN(),
       true,
       "x",
       "y",
       std::chrono::sys_days(std::chrono::year(-4000) / 1 / 1),
       uuid,
       {1},
       {"a"}},
      {0, 0, 0, -0.0, true, "x", "y", kLastTime, uuid, {1}, {"a"}},
  };
  ASSERT_TRUE(transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(CopyWriter copy,
                      CopyWriter::begin(tx, {.table = "samples", .schema = "public"}, kColumns));
    for (const Sample& sample : samples) {
      write(copy, sample);
      SLUICE_TRY(copy.end_row());
    }
    SLUICE_TRY_ASSIGN(const std::int64_t rows, copy.finish());
    EXPECT_EQ(rows, std::ssize(samples));
    return {};
  }));
  const auto rows = transaction(
      *pool, {}, [](Transaction& tx) { return tx.query("SELECT * FROM samples ORDER BY id"); });
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) expect_same((*rows)[i], samples[i]);
}

TEST_F(CopyWriterTest, WritesNullIntoAnyColumn) {
  ASSERT_TRUE(transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(CopyWriter copy, CopyWriter::begin(tx, {.table = "samples"}, kColumns));
    for (std::size_t i = 0; i < kColumns.size(); ++i) copy.null();
    SLUICE_TRY(copy.end_row());
    SLUICE_TRY(copy.finish());
    return {};
  }));
  EXPECT_EQ(database.query_value(
                "SELECT num_nulls(i2, i4, i8, f8, b, t, by, ts, u, j, fa, ta) FROM samples"),
            "12");
}

TEST_F(CopyWriterTest, WritesMoreThanItsBufferHolds) {
  std::vector<std::string> texts(20'000, std::string(100, 'x'));
  texts[7] = std::string(3'000'000, 'y');
  const auto copied = copy_of_texts(texts);
  ASSERT_TRUE(copied) << copied.error().message();
  EXPECT_EQ(count(), "20000");
  EXPECT_EQ(database.query_value("SELECT sum(length(t)) FROM samples"), "4999900");
}

TEST_F(CopyWriterTest, WritesNoRowsAtAll) {
  EXPECT_TRUE(copy_of_texts({}));
  EXPECT_EQ(count(), "0");
}

TEST_F(CopyWriterTest, FailsWithTheServersReasonAndStoresNothing) {
  database.execute("ALTER TABLE samples ADD CONSTRAINT no_bad CHECK (t <> 'bad')");
  std::vector<std::string> texts(50'000, std::string(100, 'x'));
  texts[3] = "bad";
  const auto copied = copy_of_texts(texts);
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(copied.error().reason(), "no_bad");
  EXPECT_EQ(count(), "0");
  EXPECT_TRUE(select_one(*pool));
}

TEST_F(CopyWriterTest, RefusesTimesThatCannotBeStoredOrReadAgain) {
  for (const WallTime time : {WallTime::min(), kLastTime + 1ms, WallTime::max()}) {
    const auto copied = transaction(*pool, {}, [&](Transaction& tx) -> Result<> {
      SLUICE_TRY_ASSIGN(CopyWriter copy, CopyWriter::begin(tx, {.table = "samples"},
                                                           {{"ts", ColumnType::kTimestamptz}}));
      copy.timestamptz(time);
      SLUICE_TRY(copy.end_row());
      SLUICE_TRY(copy.finish());
      return {};
    });
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST_F(CopyWriterTest, TakesTheTransactionWithItWhenDropped) {
  const auto result = transaction(*pool, {}, [](Transaction& tx) -> Result<> {
    SLUICE_TRY(tx.execute("INSERT INTO samples (t) VALUES ('before')"));
    SLUICE_TRY_ASSIGN(CopyWriter copy,
                      CopyWriter::begin(tx, {.table = "samples"}, {{"t", ColumnType::kText}}));
    copy.text("half");
    return copy.end_row();
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(count(), "0");
  EXPECT_TRUE(select_one(*pool));
}

TEST_F(CopyWriterTest, NoticesWhenTheServerStoredAnotherNumberOfRows) {
  database.execute(
      "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
      "CREATE TRIGGER skip BEFORE INSERT ON samples FOR EACH ROW EXECUTE FUNCTION skip()");
  const auto copied = copy_of_texts(std::array{std::string("x")});
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code(), ErrorCode::kDataLoss);
}

TEST_F(CopyWriterTest, EndsAtTheDeadlineWhenTheServerTakesNoMore) {
  ProxiedServer server(database.config());
  TestPool proxied(server.config);
  const std::string text(1 << 20, 'x');
  const auto copied = transaction(*proxied, {.timeout = 1s}, [&](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(CopyWriter copy,
                      CopyWriter::begin(tx, {.table = "samples"}, {{"t", ColumnType::kText}}));
    server.proxy->freeze();
    for (;;) {  // without end: only the deadline gets out of here
      copy.text(text);
      SLUICE_TRY(copy.end_row());
    }
  });
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code(), ErrorCode::kDeadlineExceeded);
}

using CopyWriterDeathTest = CopyWriterTest;

TEST_F(CopyWriterDeathTest, AbortsOnAValueOfAnotherTypeThanDeclared) {
  ASSERT_TRUE(transaction(*pool, {}, [](Transaction& tx) -> Result<> {
    SLUICE_TRY_ASSIGN(CopyWriter copy,
                      CopyWriter::begin(tx, {.table = "samples"}, {{"t", ColumnType::kText}}));
    EXPECT_DEATH(copy.int8(1), "BUG");
    EXPECT_DEATH(static_cast<void>(copy.end_row()), "BUG");
    SLUICE_TRY(copy.finish());
    return {};
  }));
}

}  // namespace
}  // namespace sluice::postgres
