#include <sluice/kafka/table_reader.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace sluice::kafka {
namespace {

// Wait after an error of Kafka's client: it reconnects by itself, we only must not spin meanwhile.
constexpr std::chrono::milliseconds kErrorPause{500};

}  // namespace

struct TableReader::Metrics {
  Metrics(Registry& registry, const std::string& topic)
      : changes(registry.counter("sluice_kafka_table_changes_total",
                                 "Records of a compacted topic that were handed over.",
                                 {{"topic", topic}})),
        errors(registry.counter("sluice_kafka_table_errors_total",
                                "Errors that Kafka's client reported to a table's reader.",
                                {{"topic", topic}})),
        caught_up(
            registry.gauge("sluice_kafka_table_caught_up",
                           "1 once everything that the topic held at the start was handed over.",
                           {{"topic", topic}})),
        staleness(registry.gauge("sluice_kafka_table_staleness_seconds",
                                 "Time since the table was last known to be complete.",
                                 {{"topic", topic}})) {}

  Counter changes;
  Counter errors;
  Gauge caught_up;
  Gauge staleness;
};

TableReader::TableReader(Options options, const Clock& clock, const Logger& logger,
                         Registry& registry, std::unique_ptr<Consumer> consumer,
                         TableHandler& handler)
    : options_(std::move(options)),
      clock_(clock),
      logger_(logger),
      metrics_(std::make_unique<Metrics>(registry, options_.topic)),
      consumer_(std::move(consumer)),
      handler_(handler) {}

TableReader::~TableReader() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
}

Result<> TableReader::step(std::chrono::milliseconds wait) {
  if (stopped_) return fail(ErrorCode::kFailedPrecondition, "table reader has been stopped");
  const auto polled = consumer_->poll(
      wait, static_cast<std::size_t>(options_.limits.max_batch_records), *this, batch_);
  for (const RecordView& record : batch_) handler_.on_change(record);
  metrics_->changes.add(batch_.size());
  batch_.clear();
  consumer_->release();
  check_freshness();
  if (!polled) metrics_->errors.add();
  return polled;
}

void TableReader::check_freshness() {
  if (clock_.mono() >= next_refresh_at_) {
    consumer_->refresh_end_offsets();
    next_refresh_at_ = clock_.mono() + options_.refresh_interval;
  }

  // Complete as of the oldest answer, if we are past all of the ends we were told.
  std::optional<MonoTime> complete_at;
  for (const TopicPartition& partition : partitions_) {
    const auto end = consumer_->end_offset(partition);
    if (!end) return report_staleness();
    const auto position = consumer_->position(partition);
    const bool is_empty = end->offset == Offset(0);
    if (!is_empty && (!position || *position < end->offset)) return report_staleness();
    complete_at = std::min(complete_at.value_or(end->asked_at), end->asked_at);
  }
  if (!complete_at) return;

  fresh_at_ns_.store(complete_at->time_since_epoch().count(), std::memory_order_relaxed);
  if (!caught_up_.exchange(true, std::memory_order_release)) {
    metrics_->caught_up.set(1);
    logger_.info("kafka_table_caught_up", {{"topic", options_.topic}});
    handler_.on_caught_up();
  }
  report_staleness();
}

void TableReader::report_staleness() {
  if (const auto age = staleness()) {
    metrics_->staleness.set(std::chrono::duration<double>(*age).count());
  }
}

std::optional<std::chrono::milliseconds> TableReader::staleness() const {
  if (!caught_up_.load(std::memory_order_acquire)) return std::nullopt;
  const MonoTime fresh_at{std::chrono::nanoseconds(fresh_at_ns_.load(std::memory_order_relaxed))};
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - fresh_at);
}

void TableReader::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;  // a wait that a stop ends
    while (!stop.stop_requested()) {
      if (auto stepped = step(options_.limits.fetch_wait); !stepped) {
        logger_.warning("kafka_table_error", stepped.error(), {{"topic", options_.topic}});
        std::unique_lock lock(mutex);
        never.wait_for(lock, stop, kErrorPause, [] { return false; });
      }
    }
  });
}

void TableReader::stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (std::exchange(stopped_, true)) return;
  if (auto closed = consumer_->close(*this, options_.limits.commit_timeout); !closed) {
    logger_.warning("kafka_table_close", closed.error(), {{"topic", options_.topic}});
  }
}

std::vector<StartPosition> TableReader::on_assigned(std::span<const TopicPartition> partitions) {
  partitions_.assign(partitions.begin(), partitions.end());
  // A consumer of a table begins at the beginning by itself.
  std::vector<StartPosition> positions;
  for (const TopicPartition& partition : partitions) positions.push_back({partition});
  return positions;
}

// A reader without a group keeps what it has; these come at close() alone.
void TableReader::on_revoked(std::span<const TopicPartition> /*partitions*/) {}
void TableReader::on_lost(std::span<const TopicPartition> /*partitions*/) {}

}  // namespace sluice::kafka
