#include "adapters/raw_workers.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <format>
#include <utility>

#include <sluice/base/backoff.h>
#include <sluice/kafka/topics.h>

namespace sluice::validator {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kAdminTimeout = 30s;
constexpr std::chrono::milliseconds kBeginStep = 20ms;
constexpr Backoff::Policy kRestart{.base = 100ms, .cap = 5s};

}  // namespace

RawWorkers::RawWorkers(Options options, const Clock& clock, Random& random, const Logger& log,
                       Registry& registry, const CatalogueHolder& catalogue, MakeJudge make_judge)
    : options_(std::move(options)),
      clock_(clock),
      random_(random),
      log_(log),
      registry_(registry),
      catalogue_(catalogue),
      make_judge_(std::move(make_judge)),
      metrics_(registry),
      restarts_(registry.counter("sluice_validator_worker_restarts_total",
                                 "Times a worker began anew after an error.")) {
  for (std::size_t i = 0; i < options_.workers; ++i) {
    assigned_.push_back(std::make_unique<std::atomic<bool>>(false));
  }
}

RawWorkers::~RawWorkers() { stop(); }

void RawWorkers::start(std::function<bool()> may_begin) {
  may_begin_ = std::move(may_begin);
  for (std::size_t i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this, i](const std::stop_token& stop) { run(stop, i); });
  }
}

void RawWorkers::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

Result<> RawWorkers::readiness() const {
  const std::lock_guard lock(mutex_);
  if (!trouble_.empty()) return fail(ErrorCode::kUnavailable, trouble_);
  if (!std::ranges::all_of(assigned_, [](const auto& assigned) { return assigned->load(); })) {
    return fail(ErrorCode::kUnavailable, "workers are joining the group");
  }
  return {};
}

void RawWorkers::run(const std::stop_token& stop, std::size_t index) {
  while (!stop.stop_requested() && !may_begin_()) pause(stop, kBeginStep);
  Backoff backoff(kRestart, random_);
  while (!stop.stop_requested()) {
    const auto worked = work(stop, index);
    assigned_[index]->store(false);
    if (worked) continue;
    restarts_.add();
    log_.error("worker_restarts", worked.error(), {{"worker", index}});
    {
      const std::lock_guard lock(mutex_);
      trouble_ = worked.error().message();
    }
    pause(stop, backoff.next());
  }
}

void RawWorkers::pause(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any never;  // a wait that a stop ends
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
}

/// Outputs go to the partition of the same number, and states with them: the topics must have
/// equal counts.
Result<> RawWorkers::ensure_topics() {
  using namespace kafka::topics;
  constexpr std::array kTopics{kTelemetryRaw, kTelemetryValid, kTelemetryRejected, kValidatorState,
                               kControlSchemas};
  const std::lock_guard lock(mutex_);
  if (has_topics_) return {};
  SLUICE_TRY_ASSIGN(const auto admin, kafka::open_topic_admin(options_.kafka, log_));
  SLUICE_TRY(admin->ensure(kTopics, kAdminTimeout));
  SLUICE_TRY_ASSIGN(const auto raw, admin->describe(kTelemetryRaw.name, kAdminTimeout));
  for (const auto& topic : {kTelemetryValid, kTelemetryRejected, kValidatorState}) {
    SLUICE_TRY_ASSIGN(const auto found, admin->describe(topic.name, kAdminTimeout));
    if (found.partitions == raw.partitions) continue;
    return fail(ErrorCode::kFailedPrecondition,
                std::format("topic {} has {} partitions and {} has {}: they must be equal",
                            topic.name, found.partitions, kTelemetryRaw.name, raw.partitions));
  }
  has_topics_ = true;
  return {};
}

Result<> RawWorkers::work(const std::stop_token& stop, std::size_t index) {
  SLUICE_TRY(ensure_topics());
  RawHandler::Parts parts{.judge = make_judge_()};
  SLUICE_TRY_ASSIGN(parts.producer, kafka::open_producer(options_.kafka, options_.producer, clock_,
                                                         random_, log_, registry_));
  SLUICE_TRY_ASSIGN(parts.states,
                    kafka::open_partition_reader(options_.kafka, options_.consumer, clock_, log_));
  SLUICE_TRY_ASSIGN(
      auto consumer,
      kafka::open_group_consumer(options_.kafka, options_.consumer, options_.group,
                                 {std::string(kafka::topics::kTelemetryRaw.name)}, clock_, log_));
  RawHandler handler(options_.handler, clock_, log_, metrics_, catalogue_, std::move(parts));
  kafka::ConsumerLoop loop({.durability = kafka::Durability::kOnMark, .limits = options_.consumer},
                           clock_, random_, log_, registry_, std::move(consumer), handler);
  Backoff backoff(kRestart, random_);
  while (!stop.stop_requested() && !handler.is_broken()) {
    const auto stepped = loop.step(options_.consumer.fetch_wait);
    if (stepped) {
      backoff.reset();
    } else {
      log_.warning("kafka_consumer_error", stepped.error());
      pause(stop, backoff.next());
    }
    if (loop.assigned() && !assigned_[index]->exchange(true)) {
      const std::lock_guard lock(mutex_);
      trouble_.clear();
    }
  }
  loop.stop();
  if (handler.is_broken()) return fail(ErrorCode::kUnavailable, "an output was not stored");
  return {};
}

}  // namespace sluice::validator
