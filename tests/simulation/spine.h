#pragma once

#include "checks/checks.h"
#include "fleet/device.h"
#include "fleet/traffic.h"
#include "front/front_process.h"
#include "kafka/cluster.h"
#include "registry/sim_registry.h"
#include "validator/validator_process.h"
#include "world/world.h"
#include "writer/tables.h"
#include "writer/writer_process.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace sluice::simulation {

/// Everything that takes part, wired. Processes come back some time after they crashed.
class Spine final : private FrontDoor {
 public:
  static constexpr std::size_t kValidators = 2;
  static constexpr std::size_t kWriters = 2;

  explicit Spine(World& world);

  void start();
  /// All was said, acknowledged, judged, stored and committed.
  bool is_at_rest() const;
  /// Why it is not, for a report.
  std::string what_is_left() const;

  Cluster& cluster() { return cluster_; }
  Checks& checks() { return checks_; }

  // What faults do to it. A process that is within a blocking call ends once that is over.
  void crash_front(Duration away);
  void crash_validator(std::size_t index, Duration away);
  void crash_writer(std::size_t index, Duration away);
  FrontProcess* front() { return front_.get(); }
  ValidatorProcess* validator(std::size_t index) { return validators_[index].get(); }
  WriterProcess* writer(std::size_t index) { return writers_[index].get(); }
  Device& device(std::size_t index) { return *devices_[index]; }
  std::size_t devices() const { return devices_.size(); }

 private:
  bool accept(StreamPtr stream) override;
  void begin_front();
  void begin_validator(std::size_t index);
  void begin_writer(std::size_t index);
  void measure();
  void send_commands();
  bool is_read(std::string_view group, std::string_view topic) const;

  World& world_;
  Cluster cluster_;
  SimRegistry registry_;
  const Traffic traffic_;
  Tables tables_;
  Checks checks_;
  Sessions sessions_;
  std::unique_ptr<FrontProcess> front_;
  std::array<std::unique_ptr<ValidatorProcess>, kValidators> validators_;
  std::array<std::unique_ptr<WriterProcess>, kWriters> writers_;
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace sluice::simulation
