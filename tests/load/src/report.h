#pragma once

#include "tally.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::load {

/// The figures of one run, in the order they were added, as a line to read and as JSON.
class Report {
 public:
  explicit Report(std::string scenario) : scenario_(std::move(scenario)) {}

  /// `key` names it in JSON; `label` stands behind the number in the line, an empty one leaves it
  /// out there.
  void add(std::string_view key, double value, std::string_view label);
  void add_count(std::string_view key, std::uint64_t value, std::string_view label);
  /// What is no number: how the threads were scheduled.
  void add_note(std::string_view key, std::string_view text);
  /// p50, p95, p99, p99.9 and the maximum in microseconds; nothing for an empty histogram.
  void add_latency(std::string_view key, const swarm::Histogram& histogram);
  void add_outcome(const Tally& tally);
  /// It did not come to its end: time ran out, or nobody was let in.
  void set_incomplete(std::string_view why) { incomplete_ = why; }

  std::string line() const;
  std::string json() const;
  /// 0: as it should be; 1: incomplete; 2: the server acknowledged what it cannot have got.
  int exit_status() const;

 private:
  struct Figure {
    std::string key;
    std::string value;  // as JSON has it
    std::string text;   // as the line has it; may be empty
  };
  using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
  static std::string json_of(const Counts& counts);

  std::string scenario_;
  std::vector<Figure> figures_;
  Counts failures_;
  Counts inconsistencies_;
  std::string incomplete_;
};

}  // namespace sluice::load
