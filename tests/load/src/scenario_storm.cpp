#include "scenario_parts.h"
#include "scenarios.h"

#include <atomic>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

/// For the answers to what was sent last.
constexpr std::chrono::seconds kDrainTime(5);

struct Measured {
  Reading began{};
  Reading broke_loose{};
  Reading all_back{};
  std::atomic<std::uint64_t> dropped = 0;
  std::atomic<bool> is_complete = true;
};

void step(Worker& worker, Publishers& devices, Group& crowd) {
  devices.pump();
  crowd.tick();
  worker.loop.poll(devices.wait());
}

void work(Worker& worker, const PublishOptions& publish, Measured& measured) {
  const Options& options = worker.run.options;
  Group::Options device_group = worker.group(0, options.pubs);
  device_group.retries = true;  // a server with limits does not take them all at once
  Publishers devices(worker.loop, worker.tally, worker.run.clients, device_group, publish);
  Group::Options crowd_group = worker.group(options.pubs, options.n);
  crowd_group.retries = true;
  crowd_group.retry_after =
      std::chrono::nanoseconds(static_cast<std::int64_t>(options.retry * 1e9));
  Group crowd(worker.loop, worker.tally, crowd_group);
  bool is_complete = worker.settle(devices) && worker.settle(crowd);
  worker.tally.connecting =
      swarm::Histogram();  // connecting at leisure is no part of what is reported

  worker.meet([&] { measured.began = worker.run.read(); });
  devices.begin(Publishers::kUnlimited);
  const MonoTime storm_at =
      worker.loop.now() + std::chrono::nanoseconds(static_cast<std::int64_t>(options.before * 1e9));
  while (worker.loop.now() < storm_at && !worker.must_end()) step(worker, devices, crowd);

  worker.meet([&] { measured.broke_loose = worker.run.read(); });
  measured.dropped += crowd.open_count();
  devices.set_disturbed(true);
  crowd.drop_all();
  while (!crowd.is_settled() && !worker.must_end()) step(worker, devices, crowd);
  is_complete &= crowd.is_settled();
  worker.meet([&] { measured.all_back = worker.run.read(); });

  devices.stop();
  const MonoTime patience_ends = worker.loop.now() + kDrainTime;
  while (!devices.is_done() && worker.loop.now() < patience_ends) worker.loop.poll(10ms);
  is_complete &= devices.is_done() && devices.open_count() > 0;
  devices.give_up();
  if (!is_complete) measured.is_complete = false;
}

}  // namespace

Result<Report> run_storm(const Options& options, const Clock& clock) {
  SLUICE_TRY_ASSIGN(const TextTemplate topic, TextTemplate::parse(options.topic, true));
  const PublishOptions publish = publish_options(options, topic);
  const std::uint64_t clients = std::uint64_t{options.pubs} + options.n;
  Measured measured;
  SLUICE_TRY_ASSIGN(const Tally tally,
                    run_workers(options, clock, clients, clients,
                                [&](Worker& worker) { work(worker, publish, measured); }));

  Report report("storm");
  const double seconds = seconds_between(measured.broke_loose, measured.all_back);
  const auto dropped = measured.dropped.load();
  report.add_count("acked", tally.acked, "acked");
  report.add_count("dropped", dropped, "dropped");
  report.add("storm_seconds", seconds, "s until all were back");
  report.add("connections_per_second", static_cast<double>(dropped) / seconds, "conn/s");
  if (!options.pids.empty()) {
    const std::chrono::duration<double> cpu =
        measured.all_back.usage.cpu - measured.broke_loose.usage.cpu;
    report.add("storm_cpu_seconds", cpu.count(), "CPU s in the storm");
  }
  report.add_latency("ack_before", tally.answering);
  report.add_latency("ack_during", tally.disturbed);
  report.add_latency("connack", tally.connecting);
  report.add_outcome(tally);
  if (!measured.is_complete) report.set_incomplete("not all were back in time");
  return report;
}

}  // namespace sluice::load
