#pragma once

#include "checks/raw_log.h"
#include "checks/verdicts.h"
#include "fleet/device.h"
#include "fleet/traffic.h"
#include "kafka/cluster.h"
#include "world/world.h"
#include "writer/tables.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace sluice::simulation {

/// I1 to I7, looked at whenever something happens that could break one, and once more at the end.
class Checks final : public ClusterObserver, public DeviceObserver {
 public:
  Checks(World& world, const Traffic& traffic, const Cluster& cluster, const Tables& tables)
      : world_(world),
        traffic_(traffic),
        cluster_(cluster),
        tables_(tables),
        raw_(world, traffic),
        verdicts_(world, traffic, raw_) {}

  // ClusterObserver
  void on_appended(const Appended& record) override;
  void on_reported_lost(std::string_view topic, std::string_view key,
                        std::string_view value) override;
  void on_committed(std::string_view group, const kafka::TopicPartition& partition,
                    kafka::Offset next) override;
  void on_in_flight(std::string_view producer, std::size_t records, std::size_t most) override;

  // DeviceObserver
  void on_acknowledging(Said said) override;
  void on_acknowledged(Said said) override;
  void on_trespass(std::uint32_t device, std::string_view what) override;
  void on_command(std::uint32_t device, std::string_view topic, std::string_view payload) override;

  /// I7 of whatever has a length: `count` may be `most`.
  void on_length(std::string_view queue, std::size_t count, std::size_t most);

  /// Once everything has come to rest.
  void finish();

  std::size_t acknowledged() const { return acknowledged_.size(); }
  const std::map<std::string, std::size_t, std::less<>>& longest() const { return longest_; }

 private:
  void check_judged(std::int32_t partition, std::int64_t next);
  void check_all_accounted_for();
  void check_tables();

  World& world_;
  const Traffic& traffic_;
  const Cluster& cluster_;
  const Tables& tables_;
  RawLog raw_;
  Verdicts verdicts_;
  std::set<Said> acknowledged_;
  std::map<std::int32_t, std::int64_t> judged_below_;        // by partition: looked at already
  std::map<std::string, std::size_t, std::less<>> longest_;  // by queue
};

}  // namespace sluice::simulation
