// What people with plain SQL see: migrations/0003_plain_sql.sql.
#include "adapters/maintenance_world.h"
#include "core/storage_layout.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <deque>
#include <format>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sluice/base/encoding.h>
#include <sluice/postgres/transaction.h>
#include <sluice/series/chunk_reader.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;
using series::ColumnType;
using sluice::testing::SimRandom;
using testing::MaintenanceWorld;

/// "column type time" -> the value's bits, digits or bytes in hexadecimal.
using Decoded = std::map<std::string, std::string>;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += std::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

std::string bits_of(double value) {
  // SQL has one NaN.
  if (std::isnan(value)) return "7ff8000000000000";
  return std::format("{:016x}", std::bit_cast<std::uint64_t>(value));
}

Decoded decode(std::span<const std::byte> bytes, std::set<std::string>& codecs) {
  const auto reader = series::ChunkReader::open(bytes, kChunkLimits).value();
  Decoded decoded;
  series::Samples samples;
  for (std::size_t i = 0; i < reader.column_count(); ++i) {
    const series::ColumnInfo& column = reader.column(i);
    codecs.insert(std::format("{} {}", to_string(column.type), column.codec));
    EXPECT_TRUE(reader.samples(i, {}, samples));
    for (std::size_t at = 0; at < samples.timestamps.size(); ++at) {
      const auto& values = samples.values;
      std::string text;
      switch (column.type) {
        case ColumnType::kDouble:
          text = bits_of(values.doubles[at]);
          break;
        case ColumnType::kInt64:
          text = std::to_string(values.integers[at]);
          break;
        case ColumnType::kBool:
          text = values.booleans[at] != 0 ? "true" : "false";
          break;
        default:
          text = hex(values.texts[at]);
      }
      decoded[std::format("{} {} {}", hex(column.key), static_cast<int>(column.type),
                          samples.timestamps[at])] = text;
    }
  }
  return decoded;
}

/// Columns of every kind of content, so that every codec is chosen by some.
class RandomChunk {
 public:
  explicit RandomChunk(std::uint64_t seed) : random_(seed) {}

  std::vector<std::byte> make() {
    rows_ = 1 + random_.below(400);
    std::int64_t time = 1'700'000'000'000 + static_cast<std::int64_t>(random_.below(1'000'000));
    const int rhythm = static_cast<int>(random_.below(3));
    for (std::size_t i = 0; i < rows_; ++i) {
      times_.push_back(time);
      time += rhythm == 0   ? 10'000
              : rhythm == 1 ? 9'980 + static_cast<std::int64_t>(random_.below(40))
                            : 1 + static_cast<std::int64_t>(random_.below(1'000'000));
    }
    for (int kind = 0; kind < 12; ++kind) add_doubles(kind);
    for (int kind = 0; kind < 8; ++kind) add_integers(kind);
    for (int kind = 0; kind < 4; ++kind) add_booleans(kind);
    for (int kind = 0; kind < 4; ++kind) add_texts(kind);
    std::vector<series::Column> columns;
    for (const Held& held : held_) {
      columns.push_back({.key = held.key,
                         .type = held.type,
                         .doubles = held.doubles,
                         .integers = held.integers,
                         .booleans = held.booleans,
                         .texts = held.texts,
                         .present = held.present});
    }
    return series::encode_chunk(times_, columns, kChunkLimits,
                                {.with_statistics = random_.chance(0.5)})
        .value();
  }

 private:
  struct Held {
    std::string key;
    ColumnType type = ColumnType::kDouble;
    std::vector<double> doubles{};
    std::vector<std::int64_t> integers{};
    std::vector<std::uint8_t> booleans{};
    std::vector<std::string_view> texts{};
    std::vector<std::uint8_t> present{};
  };

  Held& column(ColumnType type) {
    Held held{.key = column_of_metric(MetricKey(static_cast<std::int32_t>(held_.size()) * 37 + 1)),
              .type = type};
    if (random_.chance(0.3) && rows_ > 1) {
      held.present.resize(rows_);
      for (auto& flag : held.present) flag = random_.chance(0.7) ? 1 : 0;
      held.present[random_.below(rows_)] = 1;
    }
    held_.push_back(std::move(held));
    return held_.back();
  }
  std::size_t values_of(const Held& held) const {
    return held.present.empty()
               ? rows_
               : static_cast<std::size_t>(std::ranges::count(held.present, std::uint8_t{1}));
  }
  double uniform() { return static_cast<double>(random_.next() >> 11U) * 0x1p-53; }

  double double_of(int kind, std::size_t i) {
    const auto step = static_cast<double>(i);
    switch (kind) {
      case 0:
        return 21.5;
      case 1:
        return std::round(200 + 10 * uniform()) / 10;
      case 2:
        return std::round((20 + step * 0.01) * 1e4) / 1e4;
      case 3:  // decimals with what is none in between
        return random_.chance(0.03) ? (random_.chance(0.5) ? -0.0 : 1 / uniform())
                                    : std::round(uniform() * 1000) / 100;
      case 4:
        return static_cast<double>(static_cast<float>(std::round(uniform() * 1000) / 100));
      case 5:
        return random_.chance(0.02)
                   ? std::numeric_limits<double>::infinity()
                   : static_cast<double>(static_cast<float>(std::round(uniform() * 100) / 10));
      case 6:
        return std::sin(step / 50);
      case 7:
        return uniform() - 0.5;
      case 8:  // few different ones of full mantissa, one after the other
        return (i / 20) % 2 == 0 ? 1 / 3.0 : 1e100 / 7;
      case 9:
        return std::bit_cast<double>(random_.next());
      case 10: {  // the ends of what there is
        constexpr double kOdd[] = {0.0,
                                   -0.0,
                                   std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity(),
                                   std::numeric_limits<double>::quiet_NaN(),
                                   std::numeric_limits<double>::denorm_min(),
                                   -std::numeric_limits<double>::denorm_min() * 12345,
                                   std::numeric_limits<double>::min(),
                                   std::numeric_limits<double>::max(),
                                   std::numeric_limits<double>::lowest(),
                                   std::numeric_limits<double>::epsilon()};
        return kOdd[random_.below(std::size(kOdd))];
      }
      default:
        return static_cast<double>(static_cast<float>(uniform() * 1e30));
    }
  }
  void add_doubles(int kind) {
    Held& held = column(ColumnType::kDouble);
    for (std::size_t i = 0; i < values_of(held); ++i) held.doubles.push_back(double_of(kind, i));
  }
  void add_integers(int kind) {
    Held& held = column(ColumnType::kInt64);
    std::int64_t counter = random_.between(-1'000'000, 1'000'000);
    const auto slope = static_cast<std::uint64_t>(random_.next());
    for (std::size_t i = 0; i < values_of(held); ++i) {
      counter += random_.between(0, 30);
      const std::int64_t all[] = {
          42,
          counter,
          static_cast<std::int64_t>(random_.next()),
          random_.chance(0.03) ? static_cast<std::int64_t>(random_.next()) : 7,
          random_.chance(0.05) ? random_.between(-1'000'000'000, 1'000'000'000)
                               : random_.between(100, 131),
          static_cast<std::int64_t>(slope * i + random_.below(5)),
          i % 2 == 0 ? INT64_MAX : INT64_MIN,
          static_cast<std::int64_t>(i / 50)};
      held.integers.push_back(all[kind]);
    }
  }
  void add_booleans(int kind) {
    Held& held = column(ColumnType::kBool);
    for (std::size_t i = 0; i < values_of(held); ++i) {
      const bool all[] = {false, true, random_.chance(0.5), i / 40 % 2 != 0};
      held.booleans.push_back(all[kind] ? 1 : 0);
    }
  }
  void add_texts(int kind) {
    Held& held = column(kind == 3 ? ColumnType::kBytes : ColumnType::kString);
    for (std::size_t i = 0; i < values_of(held); ++i) {
      texts_.push_back(kind == 0   ? std::format("state {}", random_.below(4))
                       : kind == 1 ? std::format("unique {}", random_.next())
                       : kind == 2 ? std::string(random_.below(3), 'x')
                                   : std::string("\0\xff", 2) + std::to_string(i % 9));
      held.texts.push_back(texts_.back());
    }
  }

  SimRandom random_;
  std::size_t rows_ = 0;
  std::vector<std::int64_t> times_;
  std::deque<std::string> texts_;
  std::vector<Held> held_;
};

struct PlainSql : ::testing::Test {
  MaintenanceWorld world{MaintenanceWorld::Options{}};

  Decoded decode_in_sql(std::span<const std::byte> chunk) {
    const std::string_view bytes(reinterpret_cast<const char*>(chunk.data()), chunk.size());
    const auto rows = postgres::transaction(
        world.storage().pool(), {.timeout = 60s}, [&](postgres::Transaction& tx) {
          return tx.query(
              "SELECT concat_ws(' ', encode(column_key, 'hex'), type, recorded_ms) AS place, "
              "  coalesce(encode(float8send(double_value), 'hex'), integer_value::text, "
              "    boolean_value::text, encode(bytes_value, 'hex')) AS value "
              "FROM chunk_samples($1)",
              {postgres::BytesView{bytes}});
        });
    EXPECT_TRUE(rows) << rows.error().message();
    Decoded decoded;
    if (!rows) return decoded;
    for (const auto row : *rows) {
      decoded[row.get<std::string>("place")] = row.get<std::string>("value");
    }
    return decoded;
  }
};

TEST_F(PlainSql, DecodesEveryCodecToTheBit) {
  std::set<std::string> codecs;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    RandomChunk random(seed);
    const auto chunk = random.make();
    const Decoded wanted = decode(chunk, codecs);
    const Decoded found = decode_in_sql(chunk);
    ASSERT_EQ(found.size(), wanted.size());
    for (const auto& [place, value] : wanted) ASSERT_EQ(found.at(place), value) << place;
  }
  for (const char* codec : {"double raw", "double constant", "double decimal",
                            "double float_decimal", "double xor", "double ordered"}) {
    EXPECT_TRUE(codecs.contains(codec)) << codec;
  }
}

TEST_F(PlainSql, RefusesWhatIsNoChunk) {
  for (const char* bytes : {"", "no chunk", "S\x01\x01\x01\x7f"}) {
    const auto rows =
        postgres::transaction(world.storage().pool(), {}, [&](postgres::Transaction& tx) {
          return tx.query("SELECT * FROM chunk_samples($1)", {postgres::BytesView{bytes}});
        });
    EXPECT_FALSE(rows) << bytes;
  }
}

TEST_F(PlainSql, ShowsHotOverWarm) {
  const WallTime hour = event_hour_of(SystemClock().wall()) - 10h;
  world.add_devices(2);
  world.flush(hour, {{.device = 1, .time = hour + 1s, .value = 1.5},
                     {.device = 1, .time = hour + 2s, .value = 2.5},
                     {.device = 1, .time = hour + 2s, .value = std::int64_t{1} << 60},
                     {.device = 1, .time = hour + 2s, .value = true},
                     {.device = 1, .time = hour + 2s, .value = std::string("on")},
                     {.device = 2, .time = hour + 2s, .value = 9.0}});
  ASSERT_TRUE(world.compact());
  world.flush(hour + 1h, {{.device = 1, .time = hour + 2s, .value = 3.5}});
  world.flush(hour + 1h, {{.device = 1, .time = hour + 2s, .value = 4.5},
                          {.device = 1, .time = hour + 3s, .value = 5.5}});
  world.database().execute(
      "CREATE VIEW all_of_them AS SELECT string_agg(concat_ws('/', device_id, metric_name, value, "
      "  integer_value, text_value, nullif(unit, ''), extract(second FROM recorded_at)::int), ' ' "
      "  ORDER BY device_id, metric_name, recorded_at) FROM tsdb.device_telemetry");
  EXPECT_EQ(world.query("SET sluice.tenant = 'blue'; SELECT * FROM all_of_them"),
            "d1/m1/1.5/C/1 d1/m1/4.5/C/2 d1/m1/5.5/C/3 "
            "d1/m2/1.152921504606847e+18/1152921504606846976/2 d1/m3/1/2 d1/m4/on/2 d2/m1/9/C/2");
  EXPECT_EQ(world.query(
                std::format("SET sluice.tenant = 'blue'; SELECT string_agg(value::text, ' ') FROM "
                            "tsdb.samples('blue', 'd1', 'm1', '{}', '{}')",
                            format_rfc3339(hour + 2s), format_rfc3339(hour + 3s))),
            "4.5");
}

TEST_F(PlainSql, ShowsEachTenantItsOwn) {
  const WallTime hour = event_hour_of(SystemClock().wall()) - 10h;
  world.add_devices(1);
  world.flush(hour, {{.device = 1, .time = hour, .value = 1.5}});
  const std::string role = world.database().ordinary_role();
  world.database().execute(
      std::format("GRANT USAGE ON SCHEMA tsdb TO \"{0}\"; "
                  "GRANT SELECT ON tsdb.device_telemetry TO \"{0}\"",
                  role));
  const auto seen_by = [&](const std::string& tenant, const std::string& what) {
    return world.query(
        std::format("SET ROLE \"{}\"; SET sluice.tenant = '{}'; {}", role, tenant, what));
  };
  const std::string view = "SELECT count(*) FROM tsdb.device_telemetry";
  const std::string function =
      "SELECT count(*) FROM tsdb.samples('blue', 'd1', 'm1', '-infinity', 'infinity')";
  const std::string inside =
      std::format("SELECT count(*) FROM tsdb.samples_of_hour(1, '{}')", format_rfc3339(hour));
  for (const std::string& what : {view, function, inside}) {
    EXPECT_EQ(seen_by("blue", what), "1") << what;
    EXPECT_EQ(seen_by("green", what), "0") << what;
    EXPECT_EQ(seen_by("", what), "0") << what;
  }
}

}  // namespace
}  // namespace sluice::tsdb
