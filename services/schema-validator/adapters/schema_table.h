#pragma once

#include "core/catalogue.h"

#include <atomic>
#include <memory>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/config.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::validator {

/// Follows control.schemas on a thread of its own and swaps the catalogue that all workers judge
/// by: one pointer for all that a batch of changes brought. What makes no sense is counted and left
/// out.
class SchemaTable final : private kafka::TableHandler {
 public:
  /// What is passed by reference must outlive it.
  SchemaTable(std::unique_ptr<kafka::Consumer> consumer, const kafka::ConsumerConfig& limits,
              const CompileLimits& compile_limits, const Clock& clock, const Logger& log,
              Registry& registry, CatalogueHolder& holder);
  ~SchemaTable();  // stops
  SchemaTable(const SchemaTable&) = delete;
  SchemaTable& operator=(const SchemaTable&) = delete;

  void start();
  void stop();
  /// Whether everything that the topic held at the start is in the catalogue: no message may be
  /// judged before.
  bool caught_up() const { return caught_up_.load(std::memory_order_acquire); }

 private:
  void on_change(const kafka::RecordView& record) override;
  void run(const std::stop_token& stop);
  void swap();

  const Clock& clock_;
  const Logger& log_;
  CatalogueHolder& holder_;
  CatalogueTable table_;
  Counter unusable_;
  Gauge versions_;
  Gauge broken_;
  Gauge changed_at_;
  const std::chrono::milliseconds fetch_wait_;
  std::atomic<bool> caught_up_{false};
  kafka::TableReader reader_;
  std::jthread thread_;
};

}  // namespace sluice::validator
