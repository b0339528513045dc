#pragma once

#include "checks/raw_log.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace sluice::simulation {

/// What is in telemetry.valid and telemetry.rejected, as it comes: each message has one verdict,
/// the right one (I5), the same however often it is given (I3), in its device's order (I4), and
/// rejected ones keep their bytes (I5).
class Verdicts {
 public:
  Verdicts(World& world, const Traffic& traffic, const RawLog& raw)
      : world_(world), traffic_(traffic), raw_(raw) {}

  void add_valid(const Appended& record);
  void add_rejected(const Appended& record);
  /// A validator was told that one of its verdicts is not stored: its order is not promised.
  void note_reported_lost(std::string_view topic, std::string_view value);

  /// The message had its effect: itself, or a copy of it.
  bool has_verdict(const RawLog::Record& record) const { return judged_.contains(record.said); }

 private:
  struct Verdict {
    bool is_valid = false;
    std::map<std::uint32_t, std::string> parts{};  // what was said, by part
  };

  const RawLog::Record* source_of(std::string_view message_id, const Appended& record);
  void check_order(const RawLog::Record& source, const Appended& record);
  void judge(const RawLog::Record& source, bool is_valid, const Appended& record);

  World& world_;
  const Traffic& traffic_;
  const RawLog& raw_;
  std::map<std::string, Verdict, std::less<>> verdicts_;  // by message id
  std::set<Said> judged_;
  std::set<Said> valid_;
  std::map<std::uint32_t, std::int64_t> furthest_;    // place in telemetry.raw, by device
  std::set<std::string, std::less<>> reported_lost_;  // message ids
};

}  // namespace sluice::simulation
