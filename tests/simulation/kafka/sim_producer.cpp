#include "kafka/sim_producer.h"

#include <algorithm>
#include <utility>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

// Records of one request.
constexpr std::size_t kMaxBatch = 20;
// After this the producer sends again what nobody answered.
constexpr Duration kRequestTimeout = 300ms;

}  // namespace

SimProducer::SimProducer(Cluster& cluster, std::string name, const kafka::ProducerConfig& config,
                         std::function<void()> wake)
    : state_(std::make_shared<State>(cluster, std::move(name), config, std::move(wake))) {}

SimProducer::~SimProducer() { state_->is_gone = true; }

Result<> SimProducer::try_append(const kafka::Record& record, std::uint64_t token) {
  State& state = *state_;
  Cluster& cluster = state.cluster;
  if (state.in_flight >= static_cast<std::size_t>(state.limits.max_in_flight_records)) {
    return fail(ErrorCode::kResourceExhausted, "too many records in flight to kafka");
  }
  const std::int32_t partitions = cluster.partitions_of(record.topic);
  if (partitions == 0) return fail(ErrorCode::kInvalidArgument, "no such topic");
  const kafka::Partition partition =
      record.partition.value_or(kafka::partition_for_key(record.key, partitions));
  Lane& lane = state.lanes[{std::string(record.topic), partition}];
  if (lane.topic.empty()) {
    lane.topic = record.topic;
    lane.partition = partition;
  }
  lane.waiting.push_back(
      {.token = token,
       .key = std::string(record.key),
       .value = record.value ? std::optional<std::string>(*record.value) : std::nullopt,
       .taken_at = cluster.world().clock.mono(),
       .offset = {}});
  ++state.in_flight;
  if (cluster.observer() != nullptr) {
    cluster.observer()->on_in_flight(state.name, state.in_flight,
                                     static_cast<std::size_t>(state.limits.max_in_flight_records));
  }
  if (lane.waiting.size() == 1) begin_request(state_, lane);
  return {};
}

void SimProducer::begin_request(const Shared& state, Lane& lane) {
  World& world = state->cluster.world();
  world.after(state->limits.linger, [state, &lane] {
    if (state->is_gone || lane.requested > 0) return;
    expire(*state, lane);
    if (lane.waiting.empty()) return;
    lane.requested = std::min(lane.waiting.size(), kMaxBatch);
    send(state, lane);
  });
}

/// To the broker: there the request stores what it carries, if it gets there.
void SimProducer::send(const Shared& state, Lane& lane) {
  Cluster& cluster = state->cluster;
  World& world = cluster.world();
  const Duration way =
      world.hop() + (world.strikes(Fault::kSlowStore, 0.05) ? world.between(20ms, 500ms) : 0ns);
  world.after(way, [state, &lane] { arrive(state, lane); });
}

void SimProducer::arrive(const Shared& state, Lane& lane) {
  Cluster& cluster = state->cluster;
  World& world = cluster.world();
  // A request of a process that is gone is in the network, or it never left.
  if (state->is_gone && world.random.chance(0.5)) return;
  const bool is_lost = !cluster.is_up() || world.strikes(Fault::kLoss, 0.02);
  if (!is_lost) {
    for (std::size_t i = 0; i < lane.requested; ++i) {
      Sent& sent = lane.waiting[i];
      if (sent.offset) continue;  // sent again: the broker knows its number
      sent.offset =
          cluster.append(lane.topic, lane.partition, sent.key,
                         sent.value ? std::optional<std::string_view>(*sent.value) : std::nullopt);
    }
  }
  const bool is_answer_lost = is_lost || world.strikes(Fault::kLoss, 0.05);
  world.after(is_answer_lost ? kRequestTimeout : world.hop(), [state, &lane, is_answer_lost] {
    if (state->is_gone) return;
    if (!is_answer_lost) return answer(state, lane);
    expire(*state, lane);
    if (lane.requested > 0) return send(state, lane);
    if (!lane.waiting.empty()) begin_request(state, lane);
  });
}

void SimProducer::answer(const Shared& state, Lane& lane) {
  for (; lane.requested > 0; --lane.requested) complete(*state, lane, std::nullopt);
  if (!lane.waiting.empty()) begin_request(state, lane);
}

/// Gives up what has waited for too long, the oldest first.
void SimProducer::expire(State& state, Lane& lane) {
  const MonoTime now = state.cluster.world().clock.mono();
  while (!lane.waiting.empty() &&
         now - lane.waiting.front().taken_at >= state.limits.delivery_timeout) {
    if (lane.requested > 0) --lane.requested;
    complete(state, lane, ErrorCode::kDeadlineExceeded);
  }
}

void SimProducer::complete(State& state, Lane& lane, std::optional<ErrorCode> failure) {
  const Sent& sent = lane.waiting.front();
  Cluster& cluster = state.cluster;
  kafka::Completion completion{.token = sent.token, .failure = failure};
  if (failure) {
    completion.may_be_stored = sent.offset.has_value();
    cluster.world().trace.note("not stored: {} {}", lane.topic, sent.key);
    if (cluster.observer() != nullptr && sent.value) {
      cluster.observer()->on_reported_lost(lane.topic, sent.key, *sent.value);
    }
  } else {
    completion.partition = lane.partition;
    completion.offset = *sent.offset;
  }
  if (state.ready.empty() && state.wake) state.wake();
  state.ready.push_back(completion);
  --state.in_flight;
  lane.waiting.pop_front();
}

std::size_t SimProducer::poll(std::vector<kafka::Completion>& out) {
  const std::size_t count = state_->ready.size();
  out.insert(out.end(), state_->ready.begin(), state_->ready.end());
  state_->ready.clear();
  return count;
}

void SimProducer::wait(std::chrono::milliseconds timeout) {
  World& world = state_->cluster.world();
  world.run_until([&] { return !state_->ready.empty(); }, world.clock.mono() + timeout);
}

Result<> SimProducer::flush(std::chrono::milliseconds timeout) {
  World& world = state_->cluster.world();
  if (world.run_until([&] { return state_->in_flight == 0; }, world.clock.mono() + timeout)) {
    return {};
  }
  return fail(ErrorCode::kDeadlineExceeded, "records are still unacknowledged by kafka");
}

std::size_t SimProducer::in_flight() const { return state_->in_flight; }

Result<std::int32_t> SimProducer::partition_count(std::string_view topic,
                                                  std::chrono::milliseconds) {
  return state_->cluster.partitions_of(topic);
}

}  // namespace sluice::simulation
