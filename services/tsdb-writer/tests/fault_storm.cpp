#include "fault_storm.h"

#include <algorithm>
#include <csignal>
#include <format>
#include <thread>
#include <utility>
#include <vector>

#include <sluice/testing/eventually.h>

namespace sluice::tsdb::testing {

using namespace std::chrono_literals;
using sluice::testing::eventually;

namespace {

// Devices of old messages: they are the first that the tables know, so slices of compaction begin
// with them.
constexpr std::int64_t kOldDevices = 7;
// The source is never further ahead of what is stored, in records: several times what fills two
// writers.
constexpr std::int64_t kAhead = 1'500;

/// Messages whose raw values are over by the policy "standard", each once: what comes again then
/// counts again in roll-ups, as README.md says, so in them every second writing shows.
std::vector<Said> old_messages(std::size_t count, std::int64_t& made) {
  const std::int64_t day = std::chrono::milliseconds(24h).count();
  const std::int64_t span = std::chrono::milliseconds(3h).count();
  const std::int64_t first =
      std::chrono::floor<std::chrono::hours>(SystemClock().wall()).time_since_epoch() / 1ms -
      5 * day;
  std::vector<Said> messages;
  for (std::size_t i = 0; i < count; ++i, ++made) {
    messages.push_back(
        {.device = std::format("old{}", made % kOldDevices),
         .event_time_ms = first + made * 7'919 % span,
         .readings = {{"temperature", 0.1 * static_cast<double>(made % 1'000)}, {"count", made}}});
  }
  return messages;
}

/// Of raw values that are kept.
Content kept_of(Content content) {
  std::erase_if(content,
                [](const auto& entry) { return std::get<1>(entry.first).starts_with("old"); });
  return content;
}

platform::Environment storm_settings() {
  platform::Environment settings{
      // Three of them are soon full, which is how a test knows that a writer holds something.
      {"SLUICE_BATCH_MAX_SAMPLES", "200"},
      {"SLUICE_COMPACTION_SLICE_DEVICES", "3"},
      // What a frozen writer has begun must not hold up the others for long.
      {"SLUICE_POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT", "1s"}};
  settings.merge(WriterWorld::eager_maintenance());
  return settings;
}

}  // namespace

FaultStorm::FaultStorm(OwnPostgres& server, WriterWorld& world, Options options)
    : server_(server),
      world_(world),
      options_(std::move(options)),
      random_(
          static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count())) {
}

StormReport FaultStorm::run() {
  start_missing_writers();
  if (sent_ == 0) {
    world_.send(old_messages(100, old_));
    sent_ += 100;
    must(eventually([&] { return stored() == sent_; }), "the first messages were not stored");
  }
  should_end_ = false;
  {
    const std::jthread source([&] { send_until_told(); });
    const std::jthread mover([&] { move_until_told(); });
    const auto end = std::chrono::steady_clock::now() + options_.length;
    do {
      play_deck();
    } while (std::chrono::steady_clock::now() < end);
    should_end_ = true;
  }
  report_.difference = compare();
  report_.samples = world_.wanted().size();
  return report_;
}

void FaultStorm::play_deck() {
  std::vector<Fault> deck = options_.faults;
  std::ranges::shuffle(deck, random_);
  for (const Fault fault : deck) {
    wait_for_some_records();
    play(fault);
    start_missing_writers();
  }
}

void FaultStorm::play(Fault fault) {
  switch (fault) {
    case Fault::kWriterKilled:
      return kill_writer();
    case Fault::kServerKilled:
      return kill_server();
    case Fault::kWritersKilledCompacting:
      return kill_writers_compacting();
    case Fault::kWritersKilledHolding:
      return kill_writers_holding();
    case Fault::kWriterFrozen:
      return freeze_writer();
  }
}

void FaultStorm::kill_writer() {
  auto& victim = writers_[random_.below(writers_.size())];
  victim->kill();
  victim.reset();
  ++report_.writers_killed;
}

void FaultStorm::kill_server() {
  stop_server();
  start_server();
}

void FaultStorm::stop_server() {
  is_server_down_ = true;
  server_.kill();
  ++report_.servers_killed;
}

void FaultStorm::start_server() {
  server_.start();
  is_server_down_ = false;
}

void FaultStorm::kill_writers_compacting() {
  must(eventually(
           [&] {
             return world_.count(
                        "SELECT count(*) FROM hot_hours WHERE is_sealed AND next_device_key > $1",
                        {kOldDevices / 2}) > 0;
           },
           60s),
       "no hour was compacted in part");
  kill_all_writers();
}

void FaultStorm::kill_writers_holding() {
  hold_up();
  // Anywhere between two of what a writer does every 50 ms, such as telling Kafka how far it is.
  std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(300)));
  kill_all_writers();
  start_server();
}

void FaultStorm::freeze_writer() {
  // Every other time in the middle of whatever it does, a transaction maybe.
  const bool is_held_up = report_.writers_frozen++ % 2 == 0;
  platform::ServiceProcess* full = is_held_up ? hold_up() : nullptr;
  platform::ServiceProcess& victim = full != nullptr ? *full : any_writer();
  victim.process().freeze();
  if (is_held_up) start_server();
  wait_until_taken_over();
  // What it holds is late by an hour then. One that was not held up may lead, and nobody else can
  // while PostgreSQL believes that it is there.
  if (is_held_up) wait_until_compacted();
  victim.process().signal(SIGCONT);
}

void FaultStorm::kill_all_writers() {
  // At once: while one is waited for another would still work.
  for (const auto& writer : writers_) writer->process().signal(SIGKILL);
  for (auto& writer : writers_) {
    writer->kill();
    writer.reset();
    ++report_.writers_killed;
  }
}

void FaultStorm::start_missing_writers() {
  for (auto& writer : writers_) {
    must(!writer || writer->process().is_running(), "a writer ended by itself");
    if (writer && writer->process().is_running()) continue;
    platform::Environment settings = options_.settings;
    settings.merge(storm_settings());
    writer = world_.writer(std::move(settings));
  }
}

platform::ServiceProcess* FaultStorm::hold_up() {
  const auto pauses = [&](std::size_t i) {
    return writers_[i]->metric("sluice_tsdb_writer_pauses_total");
  };
  const std::array before{pauses(0), pauses(1)};
  stop_server();
  // Not one that was chosen before: it may wait for partitions, and to be told where they begin.
  platform::ServiceProcess* full = nullptr;
  eventually(
      [&] {
        for (std::size_t i = 0; i < writers_.size(); ++i) {
          if (pauses(i) > before.at(i)) full = writers_[i].get();
        }
        return full != nullptr;
      },
      15s);
  if (full != nullptr) ++report_.held_up;
  return full;
}

void FaultStorm::wait_for_some_records() {
  // Kafka gives a dead writer's partitions away after its session's 6 s at the earliest: a kill
  // before that would meet nobody at work.
  const std::int64_t anywhere = stored() + 500 + static_cast<std::int64_t>(random_.below(1'000));
  must(eventually([&] { return stored() > anywhere; }, 60s), "nothing was stored for a minute");
}

void FaultStorm::wait_until_taken_over() {
  const std::int64_t now =
      world_.count("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
  must(eventually(
           [&] {
             return world_.count(
                        "SELECT count(*) FROM offsets WHERE topic LIKE 'telemetry.%' "
                        "AND next_offset > 0 "
                        "AND updated_at < to_timestamp($1::bigint / 1000.0)",
                        {now}) == 0;
           },
           60s),
       "nobody took over what a frozen writer had");
}

void FaultStorm::wait_until_compacted() {
  // The first may have begun before.
  const int moves = moves_ + 2;
  must(eventually([&] { return moves_ >= moves; }, 60s), "no hour came to its end");
  const std::int64_t newest = world_.count(
      "SELECT coalesce(extract(epoch FROM max(arrival_hour)), 0)::bigint FROM hot_hours "
      "WHERE arrival_hour < clock_timestamp() - interval '10 hours'");
  must(eventually(
           [&] {
             return world_.count(
                        "SELECT count(*) FROM hot_hours WHERE arrival_hour <= to_timestamp($1)",
                        {newest}) == 0;
           },
           60s),
       "compaction does not go on");
}

void FaultStorm::send_until_told() {
  while (!should_end_) {
    std::vector<Said> messages = world_.some_messages(40);
    // A device that changes its class has to be looked up: while the server is dead its writer
    // would take nothing, and hold nothing.
    for (Said& said : messages) said.device_type = "meter";
    world_.send(messages);
    world_.send(old_messages(10, old_));
    sent_ += 50;
    eventually([&] { return should_end_ || stored() > sent_ - kAhead; });
  }
}

void FaultStorm::move_until_told() {
  while (!should_end_) {
    if (world_.move_hour_back()) ++moves_;
    const std::int64_t moved = stored();
    // Hours that pile up would have to be waited for in the end.
    eventually([&] {
      return should_end_ || (stored() > moved + 500 &&
                             world_.count("SELECT count(*) FROM hot_hours WHERE arrival_hour < "
                                          "clock_timestamp() - interval '10 hours'",
                                          {}, 1s) <= 1);
    });
  }
}

std::string FaultStorm::compare() {
  if (!report_.difference.empty()) return report_.difference;
  const Content wanted = kept_of(world_.wanted());
  std::string left;
  eventually([&] { return (left = difference(wanted, kept_of(read_raw(world_.pool())))).empty(); },
             options_.patience);
  if (!left.empty()) return "raw values: " + left;
  if (!world_.compact_all()) return "compaction does not come to an end" + output();
  left = difference(wanted, kept_of(read_raw(world_.pool())));
  if (!left.empty()) return "raw values, compacted: " + left;
  left = difference(rollups_of(world_.wanted()), read_rollups(world_.pool()));
  if (!left.empty()) return "roll-ups: " + left;
  if (world_.count("SELECT count(*) FROM set_aside") != 0) return "rows were set aside";
  return "";
}

void FaultStorm::must(bool happened, std::string_view what) {
  if (!happened && report_.difference.empty()) report_.difference = std::string(what) + output();
}

std::string FaultStorm::output() const {
  std::string all;
  for (const auto& writer : writers_) {
    if (!writer) continue;
    const std::string lines = writer->process().output();
    all += "\n" + lines.substr(lines.size() - std::min<std::size_t>(lines.size(), 4'000));
  }
  return all;
}

std::int64_t FaultStorm::stored() {
  const std::int64_t now = is_server_down_ ? 0 : world_.stored_records();
  if (now > 0) stored_ = now;
  return stored_;
}

}  // namespace sluice::tsdb::testing
