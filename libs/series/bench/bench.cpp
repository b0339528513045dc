// Bytes and nanoseconds per sample of the chunk codec, and of Gorilla in the same run, on the same
// series.

#include "data_sets.h"
#include "gorilla.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <ctime>
#include <format>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/series/chunk.h>
#include <sluice/series/chunk_reader.h>
#include <sluice/series/rollup.h>

namespace sluice::series::bench {
namespace {

/// A few hundred series do not fit into the first cache, as in life; 20 rounds outlast a busy
/// neighbour.
constexpr std::size_t kSeries = 200;
constexpr int kRounds = 60;

/// To the microsecond, of rounds that take a thousand of them.
double cpu_ns() { return static_cast<double>(std::clock()) * (1e9 / CLOCKS_PER_SEC); }

template <typename Work>
double timed(double best, Work work) {
  const double begin = cpu_ns();
  work();
  const double took = cpu_ns() - begin;
  return best == 0 ? took : std::min(best, took);
}

std::vector<Column> columns_of(const Series& series) {
  static constexpr std::string_view kKeys[] = {"t", "u", "v", "w"};
  std::vector<Column> columns;
  for (std::size_t i = 0; i < series.metrics.size(); ++i) {
    columns.push_back(Column::of(kKeys[i], std::span(series.metrics[i])));
  }
  return columns;
}

/// The least of the rounds, since whatever disturbs a round makes it slower.
struct Figures {
  std::size_t samples = 0;
  std::size_t gorilla_bytes = 0;
  std::size_t our_bytes = 0;
  double gorilla_ns = 0;
  double encode_ns = 0;
  double decode_ns = 0;
  std::string codec;
};

void check_round_trip(const Series& series, const std::vector<std::byte>& chunk, Samples& samples) {
  const auto reader = ChunkReader::open(chunk);
  SLUICE_CHECK(reader.has_value());
  for (std::size_t i = 0; i < series.metrics.size(); ++i) {
    SLUICE_CHECK(reader->samples(i, {}, samples).has_value());
    SLUICE_CHECK(samples.timestamps == series.timestamps);
    for (std::size_t row = 0; row < series.timestamps.size(); ++row) {
      SLUICE_CHECK(std::bit_cast<std::uint64_t>(samples.values.doubles[row]) ==
                   std::bit_cast<std::uint64_t>(series.metrics[i][row]));
    }
  }
}

Figures measure(const DataSet& set) {
  Figures figures;
  ChunkEncoder encoder;
  Gorilla gorilla;
  Samples samples;
  std::vector<std::vector<Column>> columns;
  std::vector<std::vector<std::byte>> chunks(set.series.size());
  for (const Series& series : set.series) {
    figures.samples += series.timestamps.size() * series.metrics.size();
    columns.push_back(columns_of(series));
  }
  for (int round = 0; round < kRounds; ++round) {
    figures.gorilla_bytes = 0;
    figures.gorilla_ns = timed(figures.gorilla_ns, [&] {
      for (const Series& series : set.series) {
        for (const auto& values : series.metrics) {
          gorilla.clear();
          for (std::size_t i = 0; i < values.size(); ++i)
            gorilla.add(series.timestamps[i], values[i]);
          figures.gorilla_bytes += gorilla.finish();
        }
      }
    });
    figures.encode_ns = timed(figures.encode_ns, [&] {
      for (std::size_t i = 0; i < set.series.size(); ++i) {
        chunks[i].clear();
        SLUICE_CHECK(encoder.encode(set.series[i].timestamps, columns[i], chunks[i]).has_value());
      }
    });
    figures.decode_ns = timed(figures.decode_ns, [&] {
      for (const auto& chunk : chunks) {
        const auto reader = ChunkReader::open(chunk);
        SLUICE_CHECK(reader->timestamps(samples.timestamps).has_value());
        for (std::size_t i = 0; i < reader->column_count(); ++i) {
          SLUICE_CHECK(reader->values(i, samples.values).has_value());
        }
      }
    });
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    check_round_trip(set.series[i], chunks[i], samples);
    figures.our_bytes += chunks[i].size();
  }
  figures.codec = ChunkReader::open(chunks[0])->column(0).codec;
  return figures;
}

/// Whether every promise held. Times are shown and not judged: they are of this machine and minute.
bool show(const DataSet& set, const Figures& figures) {
  const auto samples = static_cast<double>(figures.samples);
  const double theirs = static_cast<double>(figures.gorilla_bytes) / samples;
  const double ours = static_cast<double>(figures.our_bytes) / samples;
  const bool holds = (set.target_ratio == 0 || ours <= set.target_ratio * theirs) &&
                     (set.target_bytes == 0 || ours <= set.target_bytes);
  const std::string target = set.target_ratio == 0 ? "-" : std::format("{:.2f}", set.target_ratio);
  std::printf("%-28s %7.3f %7.3f %6.3f %6s %7.1f %7.1f %6.2f %7.1f  %-13s %s\n", set.name.c_str(),
              theirs, ours, ours / theirs, target.c_str(), figures.gorilla_ns / samples,
              figures.encode_ns / samples, figures.encode_ns / figures.gorilla_ns,
              figures.decode_ns / samples, figures.codec.c_str(), holds ? "" : "MISSED");
  return holds;
}

/// One window of a minute (6 samples) and of an hour, merged from its minutes.
void show_rollups() {
  const auto sets = make_data_sets(kSeries);
  std::size_t minute_bytes = 0;
  std::size_t hour_bytes = 0;
  std::size_t minutes = 0;
  std::vector<std::byte> bytes;
  double add_ns = 0;
  for (int round = 0; round < kRounds; ++round) {
    minute_bytes = hour_bytes = minutes = 0;
    add_ns = timed(add_ns, [&] {
      for (const Series& series : sets[0].series) {
        Rollup hour;
        for (std::size_t begin = 0; begin < series.timestamps.size(); begin += 6) {
          Rollup minute;
          for (std::size_t i = begin; i < begin + 6; ++i) {
            minute.add(series.timestamps[i], series.metrics[0][i]);
          }
          bytes.clear();
          minute.encode(bytes);
          minute_bytes += bytes.size();
          ++minutes;
          hour.merge(minute);
        }
        bytes.clear();
        hour.encode(bytes);
        hour_bytes += bytes.size();
      }
    });
  }
  std::printf(
      "\nroll-ups of the first set: minute of 6 samples %.1f B, hour of 360 %.1f B, %.0f ns per "
      "sample "
      "(adding, encoding, merging)\n",
      static_cast<double>(minute_bytes) / static_cast<double>(minutes),
      static_cast<double>(hour_bytes) / static_cast<double>(kSeries),
      add_ns / static_cast<double>(minutes * 6));
}

}  // namespace
}  // namespace sluice::series::bench

int main() {
  using namespace sluice::series::bench;
  std::printf("%-28s %7s %7s %6s %6s %7s %7s %6s %7s  %s\n", "360 samples at 10 s", "Gorilla",
              "chunk", "ratio", "<=", "Gorilla", "encode", "ratio", "decode", "codec");
  std::printf("%-28s %7s %7s %6s %6s %7s %7s %6s %7s\n", "", "B", "B", "", "", "ns", "ns", "",
              "ns");
  bool holds = true;
  for (const auto& set : make_data_sets(kSeries)) holds &= show(set, measure(set));
  show_rollups();
  return holds ? 0 : 1;
}
