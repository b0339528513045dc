#include "held.h"
#include "scenario_parts.h"
#include "scenarios.h"

#include <atomic>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

/// For the answers to the last pings.
constexpr std::chrono::seconds kPatience(5);

struct Measured {
  Reading before{};
  Reading after{};  // all are in
  Reading held{};   // and have been there for a while
  std::atomic<std::uint64_t> still_open = 0;
  std::atomic<bool> is_complete = true;
};

void hold(Worker& worker, Held& clients) {
  const MonoTime until = worker.loop.now() + nanoseconds_of(worker.run.options.hold);
  clients.begin();
  while (worker.loop.now() < until && !worker.must_end()) {
    clients.pump();
    worker.poll(10ms);
  }
  while (clients.unanswered() > 0 && worker.loop.now() < until + kPatience && !worker.must_end()) {
    worker.poll(10ms);
  }
  clients.give_up();
}

void work(Worker& worker, Measured& measured) {
  const Options& options = worker.run.options;
  Group::Options group = worker.group(0, options.n);
  group.churns = options.churn;
  Held clients(worker.loop, worker.tally, group,
               static_cast<std::uint32_t>(worker.share(options.pings).count));
  worker.meet([&] { measured.before = worker.run.read(); });
  if (!worker.settle(clients)) measured.is_complete = false;
  worker.meet([&] { measured.after = worker.run.read(); });
  swarm::Histogram of_holding;  // which is no part of what CONNACK waits for
  worker.lag.record_in(of_holding);
  const std::uint32_t opened = clients.open_count();
  if (!options.churn) hold(worker, clients);
  measured.still_open += clients.open_count();
  if (clients.open_count() < opened) measured.is_complete = false;
  worker.meet([&] { measured.held = worker.run.read(); });
}

}  // namespace

Result<Report> run_conn(const Options& options, const Clock& clock) {
  Measured measured;
  SLUICE_TRY_ASSIGN(const auto tallies,
                    run_workers(options, clock,
                                {.clients = options.n,
                                 .open_at_a_time = options.churn ? options.inflight : options.n,
                                 .crews = {{.body = [&](Worker& worker) { work(worker, measured); },
                                            .port = options.port}}}));
  const Tally& tally = tallies[0];

  Report report("conn");
  const double seconds = seconds_between(measured.before, measured.after);
  report.add_count("opened", tally.opened, "opened");
  if (!options.churn) report.add_count("held", measured.still_open, "held");
  if (options.resume) report.add_count("resumed", tally.resumed, "resumed");
  report.add("seconds", seconds, "");
  report.add("connections_per_second", static_cast<double>(tally.opened) / seconds, "conn/s");
  add_cpu(report, options, measured.before, measured.after, tally.opened);
  if (!options.pids.empty() && !options.churn && tally.opened > 0) {
    const double grown = static_cast<double>(measured.held.usage.rss_bytes) -
                         static_cast<double>(measured.before.usage.rss_bytes);
    report.add("bytes_per_connection", grown / static_cast<double>(tally.opened), "B/conn");
  }
  add_listen_drops(report, options, measured.before, measured.held);
  report.add_latency("connack", tally.connecting);
  report.add_latency("ping", tally.pinging);
  report.add_latency("generator_lag", tally.lag);
  report.add_outcome(tally);
  if (!measured.is_complete) report.set_incomplete("not all came in in time and stayed");
  if (tally.opened == 0) report.set_incomplete("nobody was let in");
  return report;
}

}  // namespace sluice::load
