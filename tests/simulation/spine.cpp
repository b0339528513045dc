#include "spine.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/kafka/topics.h>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t kPartitions = 3;
constexpr std::uint32_t kMessages = 20;  // of each device
constexpr auto kMeasured = 10ms;         // how often lengths are looked at
constexpr std::string_view kRaw = kafka::topics::kTelemetryRaw.name;
constexpr std::string_view kValid = kafka::topics::kTelemetryValid.name;

/// Five to nine devices of two tenants.
Traffic make_traffic(World& world, SimRegistry& registry) {
  std::vector<SimRegistry::Device> devices;
  std::vector<sim::Profile> profiles;
  const std::size_t count = 5 + world.random.below(5);
  for (std::size_t i = 0; i < count; ++i) {
    const auto profile = static_cast<sim::Profile>(i % sim::kProfiles);
    devices.push_back(registry.add(i % 2 == 0 ? "blue" : "green", std::string(to_string(profile))));
    profiles.push_back(profile);
  }
  return {world.random.next(), std::move(devices), std::move(profiles),
          world.clock.wall().time_since_epoch().count(), kMessages};
}

}  // namespace

Spine::Spine(World& world)
    : world_(world),
      cluster_(world),
      registry_(world),
      traffic_(make_traffic(world, registry_)),
      tables_(world),
      checks_(world, traffic_, cluster_, tables_),
      sessions_(world.random.chance(0.7)) {
  using namespace kafka::topics;
  for (const auto& topic :
       {kTelemetryRaw, kTelemetryValid, kTelemetryRejected, kValidatorState, kShadowRequests}) {
    cluster_.create_topic(topic.name, kPartitions, topic.cleanup);
  }
  cluster_.observe(checks_);
}

void Spine::start() {
  begin_front();
  for (std::size_t i = 0; i < kValidators; ++i) begin_validator(i);
  for (std::size_t i = 0; i < kWriters; ++i) begin_writer(i);
  FrontDoor& door = *this;
  for (std::uint32_t i = 0; i < traffic_.size(); ++i) {
    devices_.push_back(std::make_unique<Device>(world_, traffic_, i, door, checks_));
    devices_.back()->start();
  }
  measure();
  send_commands();
}

bool Spine::accept(StreamPtr stream) {
  if (front_ == nullptr) return false;
  front_->accept(std::move(stream));
  return true;
}

// --- Processes

void Spine::begin_front() {
  front_ = std::make_unique<FrontProcess>(world_, cluster_, registry_, sessions_);
}

void Spine::begin_validator(std::size_t index) {
  validators_[index] =
      std::make_unique<ValidatorProcess>(world_, cluster_, std::format("validator-{}", index));
}

void Spine::begin_writer(std::size_t index) {
  writers_[index] =
      std::make_unique<WriterProcess>(world_, cluster_, tables_, std::format("writer-{}", index));
}

void Spine::crash_front(Duration away) {
  if (front_ == nullptr) return;
  if (front_->is_busy()) return world_.after(1ms, [this, away] { crash_front(away); });
  world_.trace.note("front crashes");
  front_.reset();
  world_.after(away, [this] { begin_front(); });
}

void Spine::crash_validator(std::size_t index, Duration away) {
  auto& process = validators_[index];
  if (process == nullptr) return;
  if (process->is_busy()) {
    return world_.after(1ms, [this, index, away] { crash_validator(index, away); });
  }
  world_.trace.note("validator-{} crashes", index);
  process.reset();
  world_.after(away, [this, index] { begin_validator(index); });
}

void Spine::crash_writer(std::size_t index, Duration away) {
  auto& process = writers_[index];
  if (process == nullptr) return;
  if (process->is_busy()) {
    return world_.after(1ms, [this, index, away] { crash_writer(index, away); });
  }
  world_.trace.note("writer-{} crashes", index);
  process.reset();
  world_.after(away, [this, index] { begin_writer(index); });
}

// --- What goes on all the time

/// I7: how long everything is that has no observer of its own. And the operator, who begins a
/// writer anew that has ended by itself.
void Spine::measure() {
  if (front_ != nullptr) {
    checks_.on_length("records that wait in the front", front_->waiting_records(),
                      FrontProcess::kMaxRead);
  }
  for (std::size_t i = 0; i < kWriters; ++i) {
    if (writers_[i] == nullptr) continue;
    checks_.on_length("samples in a writer", writers_[i]->held_samples(),
                      WriterProcess::kMaxHeldSamples);
    if (writers_[i]->is_dead()) crash_writer(i, 100ms);
  }
  world_.after(kMeasured, [this] { measure(); });
}

void Spine::send_commands() {
  const auto to = static_cast<std::uint32_t>(world_.random.below(traffic_.size()));
  if (front_ != nullptr) {
    front_->publish(traffic_.device(to).tenant, traffic_.topic(to, "commands/7"),
                    "to " + traffic_.key(to));
  }
  world_.after(world_.between(100ms, 1s), [this] { send_commands(); });
}

// --- The end

bool Spine::is_read(std::string_view group, std::string_view topic) const {
  for (std::int32_t number = 0; number < kPartitions; ++number) {
    const kafka::TopicPartition partition{std::string(topic), kafka::Partition(number)};
    const auto committed = cluster_.committed(group, partition);
    if (cluster_.end_of(partition) > (committed ? committed->value() : 0)) return false;
  }
  return true;
}

bool Spine::is_at_rest() const {
  return std::ranges::all_of(devices_, [](const auto& device) { return device->is_done(); }) &&
         is_read(ValidatorProcess::kGroup, kRaw) && is_read(WriterProcess::kGroup, kValid);
}

std::string Spine::what_is_left() const {
  std::string text;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i]->is_done()) text += std::format("device {} is not done; ", i);
  }
  if (!is_read(ValidatorProcess::kGroup, kRaw)) text += "telemetry.raw is not read to its end; ";
  if (!is_read(WriterProcess::kGroup, kValid)) text += "telemetry.valid is not stored to its end; ";
  return text + "two minutes after nothing was broken any more";
}

}  // namespace sluice::simulation
