#pragma once

#include "fleet/traffic.h"
#include "kafka/cluster.h"
#include "world/world.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::simulation {

/// What is in telemetry.raw, as it comes: checks that nobody speaks for another (I6) and that each
/// device's messages come in its order (I4).
class RawLog {
 public:
  struct Record {
    Said said;
    std::int64_t offset = -1;
    std::string message_id;
    std::string payload;
  };

  RawLog(World& world, const Traffic& traffic) : world_(world), traffic_(traffic) {}

  void add(const Appended& record);
  /// A front was told that it is not stored: its order is not promised any more.
  void note_reported_lost(std::string_view key, std::string_view value);

  bool contains(Said said) const { return first_.contains(said); }
  /// Where the first copy of it is.
  std::int64_t first_place(Said said) const { return first_.at(said); }
  /// Of a partition, by offset; null: it has none that far.
  const Record* at(std::int32_t partition, std::int64_t offset) const;
  const Record* find(std::string_view message_id) const;
  const std::vector<std::vector<Record>>& partitions() const { return partitions_; }

 private:
  void check_order(Said said, std::int64_t offset);

  World& world_;
  const Traffic& traffic_;
  std::vector<std::vector<Record>> partitions_;
  std::map<std::string, std::pair<std::size_t, std::size_t>, std::less<>> by_id_;
  std::map<Said, std::int64_t> first_;  // offsets
  std::set<Said> reported_lost_;
  std::map<std::uint32_t, std::uint32_t> furthest_;  // by device
};

}  // namespace sluice::simulation
