#include "scenario_parts.h"
#include "scenarios.h"
#include "scheduling.h"

#include <atomic>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

/// For the answers to what was sent last.
constexpr std::chrono::seconds kDrainTime(5);
/// Counted apart: the server learns in it that the whole crowd is gone.
constexpr std::chrono::seconds kCutTime(1);

enum class Phase : std::uint8_t { kQuiet, kStorm, kOver };

/// What devices and crowd know of each other. Each has threads of its own, so that no device waits
/// for what the crowd does, and the crowd's do all the reading of /proc.
struct Storm {
  PublishOptions publish;
  std::atomic<Phase> phase = Phase::kQuiet;
  std::atomic<bool> is_complete = true;
  std::atomic<std::uint64_t> dropped = 0;
  Reading all_there{};
  Reading broke_loose{};
  Reading all_back{};
  Scheduling of_devices{};  // of the first thread of either
  Scheduling of_crowd{};
};

/// Publishes until the storm is over, and counts what it does by what the crowd does meanwhile.
void publish_through(Worker& worker, Publishers& devices, const Storm& storm) {
  Tally& tally = worker.tally;
  MonoTime cut_until = MonoTime::max();
  for (Phase known = Phase::kQuiet; known != Phase::kOver && !worker.must_end();) {
    const Phase phase = storm.phase.load();
    if (known == Phase::kQuiet && phase != Phase::kQuiet) {
      worker.lag.record_in(tally.storm_lag);
      devices.record_in(tally.cut_off);
      cut_until = worker.loop.now() + kCutTime;
    }
    known = phase;
    if (worker.loop.now() >= cut_until) {
      devices.record_in(tally.disturbed);
      cut_until = MonoTime::max();
    }
    devices.pump();
    worker.poll(devices.wait());
  }
}

void publish(Worker& worker, Storm& storm) {
  const Scheduling scheduling = schedule_first();
  if (worker.number == 0) storm.of_devices = scheduling;
  worker.meet([] {});
  Group::Options group = worker.group(0, worker.run.options.pubs);
  group.retries = true;  // a server with limits does not take them all at once
  Publishers devices(worker.loop, worker.tally, worker.run.clients, group, storm.publish);
  bool is_complete = worker.settle(devices);
  worker.meet([&] { storm.all_there = worker.run.read(); });

  if (is_complete) worker.tally = Tally();  // coming at leisure is no part of what is reported
  devices.begin(Publishers::kUnlimited);
  publish_through(worker, devices, storm);
  devices.stop();
  const MonoTime patience_ends = worker.loop.now() + kDrainTime;
  while (!devices.is_done() && worker.loop.now() < patience_ends && !worker.must_end()) {
    devices.pump();
    worker.poll(devices.wait());
  }
  is_complete &= devices.is_done() && devices.open_count() > 0;
  devices.give_up();
  if (!is_complete) storm.is_complete = false;
  worker.meet([] {});
}

void come_back(Worker& worker, Storm& storm) {
  const Options& options = worker.run.options;
  worker.meet([] {});
  const Scheduling scheduling = schedule_last(storm.of_devices.is_as_wanted);
  if (worker.number == 0) storm.of_crowd = scheduling;
  Group::Options group = worker.group(options.pubs, options.n);
  group.retries = true;
  group.retry_after = nanoseconds_of(options.retry);
  Group crowd(worker.loop, worker.tally, group);
  bool is_complete = worker.settle(crowd);
  worker.meet([&] { storm.all_there = worker.run.read(); });

  const MonoTime storm_at = storm.all_there.time + nanoseconds_of(options.before);
  while (worker.loop.now() < storm_at && !worker.must_end()) worker.poll(10ms);
  if (is_complete) worker.tally = Tally();  // as above
  worker.meet_crew([&] {
    storm.broke_loose = worker.run.read();
    storm.phase = Phase::kStorm;
  });
  storm.dropped += crowd.open_count();
  crowd.drop_all();
  while (!crowd.is_settled() && !worker.must_end()) {
    crowd.tick();
    worker.poll(10ms);
  }
  is_complete &= crowd.is_settled();
  if (!is_complete) storm.is_complete = false;
  worker.meet_crew([&] {
    storm.all_back = worker.run.read();
    storm.phase = Phase::kOver;
  });
  worker.meet([] {});  // to stay until the devices have their last answers
}

double growth_us(const swarm::Histogram& before, const swarm::Histogram& during, double share) {
  const std::chrono::duration<double, std::micro> growth =
      during.quantile(share) - before.quantile(share);
  return growth.count();
}

double since_boot(MonoTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

Report report_of(const Options& options, const Storm& storm, const Tally& devices,
                 const Tally& crowd) {
  Report report("storm");
  const double seconds = seconds_between(storm.broke_loose, storm.all_back);
  std::uint64_t refused = 0;
  for (const auto& [reason, count] : crowd.failures) refused += count;
  report.add_note("devices_scheduled", storm.of_devices.words);
  report.add_note("crowd_scheduled", storm.of_crowd.words);
  report.add_count("acked", devices.acked, "acked");
  report.add_count("dropped", storm.dropped, "dropped");
  report.add("storm_seconds", seconds, "s until all were back");
  report.add("connections_per_second", static_cast<double>(storm.dropped) / seconds, "conn/s");
  report.add_count("refused", refused, "refused and tried again");
  report.add("storm_from_s", since_boot(storm.broke_loose.time), "");
  report.add("storm_until_s", since_boot(storm.all_back.time), "");
  if (!options.pids.empty()) {
    const std::chrono::duration<double> cpu =
        storm.all_back.usage.cpu - storm.broke_loose.usage.cpu;
    report.add("storm_cpu_seconds", cpu.count(), "CPU s in the storm");
  }
  add_listen_drops(report, options, storm.broke_loose, storm.all_back);
  swarm::Histogram during = devices.cut_off;
  during.add(devices.disturbed);
  report.add_latency("ack_before", devices.answering);
  report.add_latency("ack_cut", devices.cut_off);
  report.add_latency("ack_during", during);
  report.add("ack_p50_growth_us", growth_us(devices.answering, during, 0.5), "us p50 growth");
  report.add("ack_p99_growth_us", growth_us(devices.answering, during, 0.99), "us p99 growth");
  report.add_latency("connack", crowd.connecting);
  report.add_latency("generator_lag_before", devices.lag);
  report.add_latency("generator_lag", devices.storm_lag);
  report.add_latency("crowd_lag", crowd.lag);
  Tally both = devices;
  both.add(crowd);
  report.add_outcome(both);
  if (!storm.is_complete) report.set_incomplete("not all were back and answered in time");
  return report;
}

}  // namespace

Result<Report> run_storm(const Options& options, const Clock& clock) {
  SLUICE_TRY_ASSIGN(const TextTemplate topic, TextTemplate::parse(options.topic, true));
  Storm storm{.publish = publish_options(options, topic)};
  const std::uint64_t clients = std::uint64_t{options.pubs} + options.n;
  const std::uint32_t crowd_port = options.crowd_port > 0 ? options.crowd_port : options.port;
  SLUICE_TRY_ASSIGN(
      const auto tallies,
      run_workers(options, clock,
                  {.clients = clients,
                   .open_at_a_time = clients,
                   .crews = {{.body = [&](Worker& worker) { publish(worker, storm); },
                              .port = options.port,
                              .name = "devices"},
                             {.body = [&](Worker& worker) { come_back(worker, storm); },
                              .port = crowd_port,
                              .name = "crowd"}}}));
  return report_of(options, storm, tallies[0], tallies[1]);
}

}  // namespace sluice::load
