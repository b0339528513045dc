#include <sluice/kafka/consumer_loop.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include <sluice/base/check.h>

namespace sluice::kafka {

struct ConsumerLoop::Metrics {
  explicit Metrics(Registry& r)
      : registry(r),
        handling(r.histogram("sluice_kafka_consumer_handling_seconds",
                             "Time that the handler took for what it was given at once.",
                             latency_buckets_seconds())),
        poisoned(r.counter("sluice_kafka_consumer_poisoned_total",
                           "Records that failed for good and were dealt with by on_poison.")),
        commits(r.counter("sluice_kafka_consumer_commits_total", "Commits that Kafka accepted.")) {}

  Counter by(std::string_view name, std::string_view help, std::string_view label,
             std::string_view value) const {
    return registry.counter(name, help, {{std::string(label), std::string(value)}});
  }
  Counter failed(ErrorCode code) const {
    return by("sluice_kafka_consumer_handler_failures_total",
              "Times the handler refused records, which then came again, by reason.", "reason",
              to_string(code));
  }
  Counter commit_failed(ErrorCode code) const {
    return by(
        "sluice_kafka_consumer_commit_failures_total",
        "Commits that Kafka did not accept; what they covered is committed later or read again.",
        "reason", to_string(code));
  }
  Counter poll_failed(ErrorCode code) const {
    return by("sluice_kafka_consumer_errors_total",
              "Errors that Kafka's client reported, by reason.", "reason", to_string(code));
  }
  Counter rebalanced(std::string_view kind) const {
    return by(
        "sluice_kafka_consumer_rebalances_total",
        "Times partitions came or went: assigned, revoked (in order), lost (too late to commit).",
        "kind", kind);
  }

  Registry& registry;
  Histogram handling;
  Counter poisoned;
  Counter commits;
};

/// The series of one topic. Gauges move by difference, so that several loops of a process add up.
struct ConsumerLoop::TopicLag {
  TopicLag(Registry& registry, const std::string& topic)
      : lag(registry.gauge("sluice_kafka_consumer_lag_records",
                           "Records between what is durable and the end, over our partitions.",
                           {{"topic", topic}})),
        partitions(registry.gauge("sluice_kafka_consumer_partitions",
                                  "Partitions that this process reads.", {{"topic", topic}})),
        records(registry.counter("sluice_kafka_consumer_records_total",
                                 "Records that the handler has taken.", {{"topic", topic}})) {}

  void report(std::int64_t now) {
    lag.add(static_cast<double>(now - std::exchange(reported, now)));
  }

  Gauge lag;
  Gauge partitions;
  Counter records;
  std::int64_t reported = 0;
  std::int64_t sum = 0;  // while it is being computed
};

struct ConsumerLoop::PartitionState {
  TopicPartition id;
  TopicLag* topic = nullptr;
  bool is_held = true;                // ours, but the handler has not said yet where to begin
  std::optional<Offset> expected{};   // no record below comes from poll(), unless the log was reset
  std::optional<Offset> handed{};     // everything below has been given to the handler
  std::optional<Offset> durable{};    // everything below is dealt with for ever
  std::optional<Offset> committed{};  // everything below is committed
  std::set<Offset> dealt_with{};      // poison that was put aside above `durable`
};

namespace {

Offset after(Offset offset) { return Offset(offset.value() + 1); }

bool is_of(const RecordView& record, const TopicPartition& partition) {
  return record.partition == partition.partition && record.topic == partition.topic;
}

/// Calls `use` for each run of neighbours of the same partition.
template <typename Records, typename Use>
void for_each_run(Records records, Use use) {
  for (std::size_t from = 0; from < records.size();) {
    std::size_t to = from + 1;
    while (to < records.size() && records[to].partition == records[from].partition &&
           records[to].topic == records[from].topic) {
      ++to;
    }
    use(records.subspan(from, to - from));
    from = to;
  }
}

}  // namespace

ConsumerLoop::ConsumerLoop(Options options, const Clock& clock, Random& random,
                           const Logger& logger, Registry& registry,
                           std::unique_ptr<Consumer> consumer, RecordHandler& handler)
    : options_(std::move(options)),
      clock_(clock),
      logger_(logger),
      registry_(registry),
      metrics_(std::make_unique<Metrics>(registry)),
      consumer_(std::move(consumer)),
      handler_(handler),
      backoff_({options_.limits.retry_backoff, options_.limits.max_retry_backoff}, random),
      start_backoff_({options_.limits.retry_backoff, options_.limits.max_retry_backoff}, random),
      tick_backoff_({options_.limits.retry_backoff, options_.limits.max_retry_backoff}, random),
      error_backoff_({options_.limits.retry_backoff, options_.limits.max_retry_backoff}, random) {}

ConsumerLoop::~ConsumerLoop() {
  // Without stop() we vanish as in a crash; the handler may be half gone already and is not called.
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  for (const auto& state : partitions_) state->topic->partitions.add(-1);
  for (auto& [name, topic] : topic_lag_) topic->report(0);
}

Result<> ConsumerLoop::step(std::chrono::milliseconds wait) {
  if (stopped_) return fail(ErrorCode::kFailedPrecondition, "consumer loop has been stopped");
  begin_held_partitions();

  Result<> polled;
  if (next_ == batch_.size()) {
    polled = consumer_->poll(wait, static_cast<std::size_t>(options_.limits.max_batch_records),
                             *this, batch_);
    note_polled();
  } else {
    // Not one record more while these cannot be processed; but the group must hear from us.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(retry_at_ - clock_.mono());
    polled =
        consumer_->poll(std::clamp(left, std::chrono::milliseconds(0), wait), 0, *this, batch_);
  }
  if (!polled) metrics_->poll_failed(polled.error().code()).add();

  if (clock_.mono() >= retry_at_) deliver();
  finish_batch_if_done();
  tick();
  collect_commit_result();
  commit_if_due();
  update_lag_if_due();
  return polled;
}

void ConsumerLoop::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;  // a wait that a stop ends
    while (!stop.stop_requested()) {
      if (auto stepped = step(options_.limits.fetch_wait); stepped) {
        error_backoff_.reset();
      } else {
        logger_.warning("kafka_consumer_error", stepped.error());
        std::unique_lock lock(mutex);
        never.wait_for(lock, stop, error_backoff_.next(), [] { return false; });
      }
    }
  });
}

void ConsumerLoop::stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (stopped_) return;
  stopped_ = true;
  if (auto closed = consumer_->close(*this, options_.limits.commit_timeout); !closed) {
    logger_.warning("kafka_consumer_close", closed.error());
  }
  batch_.clear();
  next_ = 0;
  consumer_->release();
  assigned_.store(false, std::memory_order_relaxed);
}

// --- Partitions come and go
// -----------------------------------------------------------------------

std::vector<StartPosition> ConsumerLoop::on_assigned(std::span<const TopicPartition> partitions) {
  metrics_->rebalanced("assigned").add();
  assigned_.store(true, std::memory_order_relaxed);
  for (const TopicPartition& partition : partitions) {
    auto& topic = topic_lag_[partition.topic];
    if (!topic) topic = std::make_unique<TopicLag>(registry_, partition.topic);
    topic->partitions.add(1);
    auto state = std::make_unique<PartitionState>();
    state->id = partition;
    state->topic = topic.get();
    partitions_.push_back(std::move(state));
  }
  logger_.info("kafka_partitions_assigned",
               {{"count", partitions.size()}, {"now", partitions_.size()}});
  return where_to_begin(partitions);
}

std::vector<StartPosition> ConsumerLoop::where_to_begin(
    std::span<const TopicPartition> partitions) {
  auto positions = handler_.on_assigned(partitions);
  if (!positions) {
    logger_.warning("kafka_start_positions_unknown", positions.error());
    start_retry_at_ = clock_.mono() + start_backoff_.next();
    return {};
  }
  start_backoff_.reset();
  std::vector<StartPosition> begun;
  for (const TopicPartition& partition : partitions) {
    const auto found = std::ranges::find(*positions, partition, &StartPosition::partition);
    StartPosition start{partition};
    if (found != positions->end()) start.offset = found->offset;
    PartitionState& state = *find(partition.topic, partition.partition);
    state.is_held = false;
    state.expected = state.handed = state.durable = start.offset;
    begun.push_back(std::move(start));
  }
  return begun;
}

void ConsumerLoop::begin_held_partitions() {
  if (clock_.mono() < start_retry_at_) return;
  std::vector<TopicPartition> held;
  for (const auto& state : partitions_) {
    if (state->is_held) held.push_back(state->id);
  }
  if (held.empty()) return;
  const std::vector<StartPosition> positions = where_to_begin(held);
  if (positions.empty()) return;
  if (auto begun = consumer_->begin(positions); !begun) {
    logger_.error("kafka_begin_failed", begun.error());
    for (const StartPosition& start : positions) {
      find(start.partition.topic, start.partition.partition)->is_held = true;
    }
    start_retry_at_ = clock_.mono() + start_backoff_.next();
  }
}

void ConsumerLoop::on_revoked(std::span<const TopicPartition> partitions) {
  metrics_->rebalanced("revoked").add();
  handler_.on_revoking(partitions, *this);
  const std::vector<CommitPoint> points = uncommitted(partitions);
  if (!points.empty()) {
    if (auto committed = consumer_->commit_and_wait(points, options_.limits.commit_timeout);
        committed) {
      metrics_->commits.add();
    } else {
      // No harm: the next owner reads again what we did.
      metrics_->commit_failed(committed.error().code()).add();
      logger_.warning("kafka_commit_failed", committed.error());
    }
  }
  forget(partitions);
  logger_.info("kafka_partitions_revoked",
               {{"count", partitions.size()}, {"now", partitions_.size()}});
}

void ConsumerLoop::on_lost(std::span<const TopicPartition> partitions) {
  metrics_->rebalanced("lost").add();
  handler_.on_lost(partitions);
  forget(partitions);
  assigned_.store(false, std::memory_order_relaxed);
  logger_.warning("kafka_partitions_lost",
                  {{"count", partitions.size()}, {"now", partitions_.size()}});
}

void ConsumerLoop::forget(std::span<const TopicPartition> partitions) {
  const auto is_gone = [&](const RecordView& record) {
    return std::ranges::any_of(partitions, [&](const auto& p) { return is_of(record, p); });
  };
  if (next_ < batch_.size() && is_gone(batch_[next_])) attempts_ = 0;  // they were of this record
  const auto middle = batch_.begin() + static_cast<std::ptrdiff_t>(next_);
  next_ -= static_cast<std::size_t>(std::count_if(batch_.begin(), middle, is_gone));
  std::erase_if(batch_, is_gone);

  for (const TopicPartition& partition : partitions) {
    std::erase_if(committing_,
                  [&](const CommitPoint& point) { return point.partition == partition; });
    if (PartitionState* state = find(partition.topic, partition.partition)) {
      state->topic->partitions.add(-1);
      last_found_ = nullptr;
      std::erase_if(partitions_, [&](const auto& other) { return other.get() == state; });
    }
  }
}

ConsumerLoop::PartitionState* ConsumerLoop::find(std::string_view topic, Partition partition) {
  const auto matches = [&](const PartitionState& state) {
    return state.id.partition == partition && state.id.topic == topic;
  };
  if (last_found_ != nullptr && matches(*last_found_)) return last_found_;
  const auto found =
      std::ranges::find_if(partitions_, [&](const auto& state) { return matches(*state); });
  if (found == partitions_.end()) return nullptr;
  last_found_ = found->get();
  return last_found_;
}

// --- Records
// --------------------------------------------------------------------------------------

/// Looks at what poll() brought: where a partition begins, and whether its log was reset beneath
/// us.
void ConsumerLoop::note_polled() {
  for_each_run(std::span<const RecordView>(batch_), [&](std::span<const RecordView> run) {
    PartitionState* state = find(run.front().topic, run.front().partition);
    if (state == nullptr) return;
    const Offset first = run.front().offset;
    if (state->expected && first < *state->expected) {
      // The topic was made anew or its end was lost; what we know of it is about records that are
      // gone.
      logger_.warning("kafka_log_reset", {{"topic", state->id.topic},
                                          {"partition", state->id.partition.value()},
                                          {"expected", state->expected->value()},
                                          {"found", first.value()}});
      // The handler, too: its marks for old records would pass for marks of new ones.
      handler_.on_lost({&state->id, 1});
      std::erase_if(committing_,
                    [&](const CommitPoint& point) { return point.partition == state->id; });
      state->durable.reset();
      state->handed.reset();
      state->dealt_with.clear();
    }
    if (!state->durable) state->durable = state->committed = first;
    if (!state->handed) state->handed = first;
    state->expected = after(run.back().offset);
  });
}

void ConsumerLoop::deliver() {
  while (next_ < batch_.size()) {
    const auto records =
        std::span<const RecordView>(batch_).subspan(next_, one_by_one_ ? 1 : batch_.size() - next_);
    for_each_run(records, [&](std::span<const RecordView> run) {
      PartitionState* state = find(run.front().topic, run.front().partition);
      SLUICE_CHECK(state != nullptr);  // a consumer gives records of assigned partitions alone
      state->handed = std::max(*state->handed, after(run.back().offset));
    });
    const MonoTime began = clock_.mono();
    const auto handled = handler_.on_batch(records, *this);
    metrics_->handling.observe(std::chrono::duration<double>(clock_.mono() - began).count());
    if (!handled) {
      note_failure(handled.error(), records);
      return;
    }
    note_delivered(records);
  }
}

void ConsumerLoop::note_delivered(std::span<const RecordView> records) {
  for_each_run(records, [&](std::span<const RecordView> run) {
    PartitionState* state = find(run.front().topic, run.front().partition);
    state->topic->records.add(run.size());
    if (options_.durability == Durability::kOnReturn) {
      state->durable = std::max(*state->durable, after(run.back().offset));
    }
  });
  next_ += records.size();
  attempts_ = 0;
  backoff_.reset();
}

void ConsumerLoop::note_failure(const Error& error, std::span<const RecordView> records) {
  metrics_->failed(error.code()).add();
  const RecordView& first = records.front();
  logger_.warning("kafka_handler_failed", error,
                  {{"topic", first.topic},
                   {"partition", first.partition.value()},
                   {"offset", first.offset.value()},
                   {"records", records.size()}});
  back_off();
  if (is_retryable(error.code()) || ++attempts_ < options_.limits.poison_attempts) return;

  if (!one_by_one_) {
    one_by_one_ = true;
    if (records.size() > 1) {
      attempts_ = 0;
      return;
    }
  }
  if (auto dealt_with = handler_.on_poison(first, error, attempts_); !dealt_with) {
    logger_.error("kafka_poison_kept", dealt_with.error(),
                  {{"topic", first.topic},
                   {"partition", first.partition.value()},
                   {"offset", first.offset.value()}});
    return;
  }
  metrics_->poisoned.add();
  logger_.error("kafka_poison", error,
                {{"topic", first.topic},
                 {"partition", first.partition.value()},
                 {"offset", first.offset.value()},
                 {"attempts", attempts_}});
  if (options_.durability == Durability::kOnMark) {
    // The handler's marks are about what it took; this one it did not, so we remember it.
    PartitionState* state = find(first.topic, first.partition);
    state->dealt_with.insert(first.offset);
    pass_dealt_with(*state);
  }
  note_delivered(records);
  retry_at_ = clock_.mono();
}

void ConsumerLoop::back_off() { retry_at_ = clock_.mono() + backoff_.next(); }

void ConsumerLoop::finish_batch_if_done() {
  if (next_ < batch_.size()) return;
  if (!batch_.empty()) {
    batch_.clear();
    next_ = 0;
  }
  consumer_->release();
  one_by_one_ = false;
  attempts_ = 0;
  retry_at_ = MonoTime{};
}

void ConsumerLoop::tick() {
  if (clock_.mono() < tick_retry_at_) return;
  if (auto ticked = handler_.on_tick(*this); ticked) {
    tick_backoff_.reset();
  } else {
    metrics_->failed(ticked.error().code()).add();
    logger_.warning("kafka_handler_tick_failed", ticked.error());
    tick_retry_at_ = clock_.mono() + tick_backoff_.next();
  }
}

// --- What the handler says
// ------------------------------------------------------------------------

void ConsumerLoop::mark_durable(std::string_view topic, Partition partition, Offset next) {
  PartitionState* state = find(topic, partition);
  if (state == nullptr || !state->handed || !state->durable) return;
  // A mark from an earlier ownership of the partition may be further on than we are: count what we
  // gave.
  const Offset reached = std::min(next, *state->handed);
  if (reached <= *state->durable) return;
  state->durable = reached;
  pass_dealt_with(*state);
}

/// Poison right behind what is durable is dealt with, too.
void ConsumerLoop::pass_dealt_with(PartitionState& state) {
  while (!state.dealt_with.empty() && *state.dealt_with.begin() <= *state.durable) {
    state.durable = std::max(*state.durable, after(*state.dealt_with.begin()));
    state.dealt_with.erase(state.dealt_with.begin());
  }
}

void ConsumerLoop::pause(std::string_view topic, Partition partition) {
  if (const PartitionState* state = find(topic, partition)) consumer_->pause(state->id);
}

void ConsumerLoop::resume(std::string_view topic, Partition partition) {
  if (const PartitionState* state = find(topic, partition)) consumer_->resume(state->id);
}

// --- Commits and lag
// ------------------------------------------------------------------------------

std::vector<CommitPoint> ConsumerLoop::uncommitted(std::span<const TopicPartition> only) {
  std::vector<CommitPoint> points;
  for (const auto& state : partitions_) {
    if (!only.empty() && !std::ranges::contains(only, state->id)) continue;
    if (!state->durable || (state->committed && *state->durable <= *state->committed)) continue;
    points.push_back({state->id, *state->durable});
  }
  return points;
}

void ConsumerLoop::commit_if_due() {
  const MonoTime now = clock_.mono();
  if (is_committing_ || now < next_commit_at_) return;
  committing_ = uncommitted();
  if (committing_.empty()) return;
  consumer_->commit(committing_);
  is_committing_ = true;
  next_commit_at_ = now + options_.limits.commit_interval;
}

void ConsumerLoop::collect_commit_result() {
  if (!is_committing_) return;
  const auto result = consumer_->take_commit_result();
  if (!result) return;
  is_committing_ = false;
  if (!*result) {
    metrics_->commit_failed(result->error().code()).add();
    logger_.warning("kafka_commit_failed", result->error());
    return;  // the next commit covers it
  }
  metrics_->commits.add();
  for (const CommitPoint& point : committing_) {
    PartitionState* state = find(point.partition.topic, point.partition.partition);
    if (state != nullptr && (!state->committed || *state->committed < point.next)) {
      state->committed = point.next;
    }
  }
}

void ConsumerLoop::update_lag_if_due() {
  const MonoTime now = clock_.mono();
  if (now >= next_lag_at_) {
    consumer_->refresh_end_offsets();
    next_lag_at_ = now + options_.limits.lag_interval;
  }
  for (const auto& state : partitions_) {
    const auto end = consumer_->end_offset(state->id);
    std::optional<Offset> reached = state->durable;
    // Where nothing is outstanding, gaps that compaction left are behind us as well.
    if (batch_.empty() && state->durable == state->handed) {
      reached = std::max(reached, consumer_->position(state->id));
    }
    if (!end || !reached) continue;
    state->topic->sum += std::max<std::int64_t>(0, end->offset.value() - reached->value());
  }
  std::int64_t total = 0;
  for (auto& [name, topic] : topic_lag_) {
    topic->report(topic->sum);
    total += std::exchange(topic->sum, 0);
  }
  lag_.store(total, std::memory_order_relaxed);
}

}  // namespace sluice::kafka
