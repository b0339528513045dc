// Writes what the targets of this folder begin with: a chunk for every codec, sketches and roll-ups
// of few and of many values, and bytes for values. Usage: fuzz_series_seeds FOLDER.

#include "../fuzz.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <format>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/series/chunk.h>
#include <sluice/series/rollup.h>

namespace sluice::series {
namespace {

constexpr std::size_t kRows = 150;  // more than one block of 128

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }

  void write(std::span<const std::byte> bytes) {
    std::ofstream file(path_ / std::format("seed_{}", ++count_), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path path_;
  int count_ = 0;
};

std::vector<std::int64_t> times(std::int64_t jitter) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto row = static_cast<std::int64_t>(i);
    out.push_back(1'767'225'600'000 + row * 10'000 + (jitter == 0 ? 0 : row * row % jitter));
  }
  return out;
}

void write_doubles(Folder& folder) {
  std::vector<std::vector<double>> shapes(6, std::vector<double>(kRows));
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto row = static_cast<double>(i);
    shapes[0][i] = std::round(200 + 20 * std::sin(row)) / 10;              // decimal
    shapes[1][i] = static_cast<double>(static_cast<float>(shapes[0][i]));  // float decimal
    shapes[2][i] = 20 + std::sin(row);                                     // ordered
    shapes[3][i] = i % 3 == 0 ? 1e-300 : i % 3 == 1 ? 1 / 3.0 : -1e300 / (row + 1);
    shapes[4][i] = 0.1 + 0.2;                  // constant
    shapes[5][i] = i / 10 % 2 == 0 ? 1 : 2.5;  // few changes
  }
  shapes[0][70] = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::vector<Column> columns = {Column::of("m", std::span<const double>(shapes[i]))};
    folder.write(
        *encode_chunk(times(i % 2 == 0 ? 0 : 40), columns, {}, {.with_statistics = i == 0}));
  }
}

void write_others(Folder& folder) {
  std::vector<std::int64_t> integers;
  std::vector<std::uint8_t> flags;
  std::vector<std::uint8_t> gaps;
  std::vector<std::string_view> states;
  std::vector<std::string> distinct;
  for (std::size_t i = 0; i < kRows; ++i) {
    integers.push_back(i == 60 ? INT64_MIN : static_cast<std::int64_t>(i * i % 977));
    flags.push_back(i / 40 % 2 == 0);
    distinct.push_back(std::to_string(i));
    gaps.push_back(i % 5 != 0);
    if (i % 5 != 0) states.push_back(i % 7 == 0 ? "off" : "on");
  }
  const std::vector<std::string_view> texts(distinct.begin(), distinct.end());
  const std::vector<Column> columns = {Column::of("i", std::span<const std::int64_t>(integers)),
                                       Column::of_bools("b", flags),
                                       Column::of_texts("s", ColumnType::kString, states, gaps),
                                       Column::of_texts("t", ColumnType::kBytes, texts)};
  folder.write(*encode_chunk(times(0), columns));
  for (const Column& column : columns) folder.write(*encode_chunk(times(7), {&column, 1}));
}

void write_sketches(Folder& folder) {
  for (const int count : {0, 1, 6, 300}) {
    Rollup rollup;
    for (int i = 0; i < count; ++i) {
      rollup.add(1'767'225'600'000 + i * 10'000, std::round(200 * std::sin(i)) / 10);
    }
    std::vector<std::byte> bytes;
    rollup.encode(bytes);
    folder.write(bytes);
    bytes.clear();
    rollup.sketch().encode(bytes);
    folder.write(bytes);
  }
}

void write_values(Folder& folder) {
  for (unsigned kind = 0; kind < 6; ++kind) {
    std::vector<std::byte> bytes;
    for (unsigned i = 0; i < 600; ++i)
      bytes.push_back(static_cast<std::byte>(i % 3 == 1 ? kind : i * 37 % 256));
    folder.write(bytes);
  }
}

}  // namespace
}  // namespace sluice::series

int main(int argc, char** argv) {
  using namespace sluice::series;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::filesystem::path root = argv[1];
  Folder chunks(root / "chunk");
  write_doubles(chunks);
  write_others(chunks);
  Folder sketches(root / "sketch");
  write_sketches(sketches);
  Folder values(root / "values");
  write_values(values);
  return 0;
}
