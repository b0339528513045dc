#include "scenario_parts.h"
#include "scenarios.h"

#include <atomic>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

struct Measured {
  Reading before{};
  Reading after{};  // all are in
  Reading held{};   // and have been idle for a while
  std::atomic<bool> is_complete = true;
};

void hold(Worker& worker, double seconds) {
  const MonoTime until =
      worker.loop.now() + std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
  while (worker.loop.now() < until && !worker.must_end()) worker.loop.poll(10ms);
}

void work(Worker& worker, Measured& measured) {
  const Options& options = worker.run.options;
  Group::Options group = worker.group(0, options.n);
  group.churns = options.churn;
  Group clients(worker.loop, worker.tally, group);
  worker.meet([&] { measured.before = worker.run.read(); });
  if (!worker.settle(clients)) measured.is_complete = false;
  worker.meet([&] { measured.after = worker.run.read(); });
  if (!options.churn) hold(worker, options.hold);
  worker.meet([&] { measured.held = worker.run.read(); });
}

}  // namespace

Result<Report> run_conn(const Options& options, const Clock& clock) {
  Measured measured;
  const std::uint64_t at_a_time = options.churn ? options.inflight : options.n;
  SLUICE_TRY_ASSIGN(const Tally tally,
                    run_workers(options, clock, options.n, at_a_time,
                                [&](Worker& worker) { work(worker, measured); }));

  Report report("conn");
  const double seconds = seconds_between(measured.before, measured.after);
  report.add_count("opened", tally.opened, "opened");
  if (options.resume) report.add_count("resumed", tally.resumed, "resumed");
  report.add("seconds", seconds, "");
  report.add("connections_per_second", static_cast<double>(tally.opened) / seconds, "conn/s");
  add_cpu(report, options, measured.before, measured.after, tally.opened);
  if (!options.pids.empty() && !options.churn && tally.opened > 0) {
    const double grown = static_cast<double>(measured.held.usage.rss_bytes) -
                         static_cast<double>(measured.before.usage.rss_bytes);
    report.add("bytes_per_connection", grown / static_cast<double>(tally.opened), "B/conn");
  }
  report.add_latency("connack", tally.connecting);
  report.add_outcome(tally);
  if (!measured.is_complete) report.set_incomplete("not all were in in time");
  if (tally.opened == 0) report.set_incomplete("nobody was let in");
  return report;
}

}  // namespace sluice::load
