#pragma once

#include "kafka/cluster.h"
#include "world/world.h"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice::simulation {

/// One worker of schema-validator: its handler, its pipeline, its membership of the group. Begins
/// anew by itself where the real one does. Destroyed, it has crashed.
class ValidatorProcess {
 public:
  static constexpr const char* kGroup = "schema-validator";
  static constexpr std::size_t kMaxInFlight = 32;  // outputs

  ValidatorProcess(World& world, Cluster& cluster, std::string name);
  ~ValidatorProcess();

  void freeze(Duration time);
  /// Leaves the group in good order and joins it again.
  void restart();
  bool is_busy() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace sluice::simulation
