#pragma once

#include "kafka/cluster.h"
#include "world/world.h"
#include "writer/tables.h"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice::simulation {

/// tsdb-writer's way from telemetry.valid to the tables: a thread that reads, one that writes.
/// Destroyed, it has crashed.
class WriterProcess {
 public:
  static constexpr const char* kGroup = "tsdb-writer";
  static constexpr std::size_t kBatchSamples = 120;
  /// Three batches, each full but for a last fetch.
  static constexpr std::size_t kMaxHeldSamples = 3 * (kBatchSamples + 20 * 4);

  WriterProcess(World& world, Cluster& cluster, Tables& tables, std::string name);
  ~WriterProcess();

  void freeze(Duration time);
  void restart();
  bool is_busy() const;
  std::size_t held_samples() const;
  /// The database was set back, as it believes: an operator begins it anew.
  bool is_dead() const;

 private:
  class Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace sluice::simulation
