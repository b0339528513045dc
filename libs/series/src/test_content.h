#pragma once

#include "test_values.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>

namespace sluice::series::testing {

/// A chunk's content, of random shape, with all types and gaps.
struct Content {
  std::vector<std::int64_t> timestamps;
  std::vector<std::string> keys;
  std::vector<std::string> pool;
  std::vector<ColumnValues> values;
  std::vector<std::vector<std::uint8_t>> present;

  std::vector<Column> columns() const {
    std::vector<Column> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
      out.push_back({keys[i], values[i].type, values[i].doubles, values[i].integers,
                     values[i].booleans, values[i].texts, present[i]});
    }
    return out;
  }
};

inline void add_column(Engine& engine, Content& content, std::size_t rows) {
  std::vector<std::uint8_t> present;
  std::size_t count = rows;
  if (below(engine, 2) == 0) {
    const std::uint64_t rarity = 1 + below(engine, 20);
    for (std::size_t row = 0; row < rows; ++row) present.push_back(below(engine, rarity) == 0);
    present[below(engine, rows)] = 1;
    count = static_cast<std::size_t>(std::count(present.begin(), present.end(), std::uint8_t{1}));
  }
  ColumnValues values;
  values.type = static_cast<ColumnType>(content.values.size() % 5);
  if (values.type == ColumnType::kDouble) values.doubles = testing::any_doubles(engine, count);
  const auto integers = testing::any_integers(engine, count);
  const std::uint64_t distinct = 1 + below(engine, content.pool.size());
  for (const std::uint64_t integer : integers) {
    if (values.type == ColumnType::kInt64)
      values.integers.push_back(static_cast<std::int64_t>(integer));
    if (values.type == ColumnType::kBool) values.booleans.push_back(below(engine, distinct) == 0);
    if (values.type >= ColumnType::kString)
      values.texts.push_back(content.pool[below(engine, distinct)]);
  }
  content.keys.push_back("metric_" + std::to_string(content.keys.size()));
  content.values.push_back(std::move(values));
  content.present.push_back(std::move(present));
}

inline Content any_content(Engine& engine) {
  Content content;
  const std::size_t rows = 1 + below(engine, 200);
  content.timestamps = testing::any_timestamps(engine, rows);
  for (std::size_t i = 0; i < 20; ++i)
    content.pool.emplace_back(below(engine, 30), static_cast<char>('a' + i));
  for (std::uint64_t left = below(engine, 8); left > 0; --left) add_column(engine, content, rows);
  return content;
}

}  // namespace sluice::series::testing
