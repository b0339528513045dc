#include "scenario_parts.h"
#include "scenarios.h"
#include "subscribers.h"

#include <atomic>
#include <optional>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

/// How long after the last news a subscriber may wait for a message before it counts as lost.
constexpr std::chrono::seconds kPatience(2);

/// What the threads measure together; the readings are taken by the last to arrive at a meeting.
struct Measured {
  Reading before{};
  Reading after{};
  std::atomic<bool> is_complete = true;
};

void publish_all(Worker& worker, Publishers& publishers) {
  publishers.begin(worker.share(worker.run.options.count).count);
  while (!publishers.is_done() && !worker.must_end()) {
    publishers.pump();
    worker.poll(publishers.wait());
  }
  publishers.begin_flush();
  while (!publishers.is_flushed() && !worker.must_end()) worker.poll(10ms);
}

void await_subscriptions(Worker& worker, const Subscribers& subscribers) {
  while (subscribers.granted() < subscribers.open_count() && worker.tally.failures.empty() &&
         !worker.must_end()) {
    worker.poll(10ms);
  }
}

/// Until every subscriber has everything, or nothing has come for a while.
void await_deliveries(Worker& worker, const Subscribers& subscribers) {
  // Each thread's subscribers get the messages of all threads.
  const std::uint64_t expected = worker.run.options.count * subscribers.granted();
  MonoTime last_news = worker.loop.now();
  for (std::uint64_t known = 0; worker.tally.received < expected && !worker.must_end();) {
    worker.poll(10ms);
    if (worker.tally.received != known) {
      known = worker.tally.received;
      last_news = worker.loop.now();
    } else if (worker.loop.now() - last_news > kPatience) {
      break;
    }
  }
  if (worker.tally.received < expected) {
    worker.tally.failed("not_delivered", expected - worker.tally.received);
  }
}

void work(Worker& worker, const PublishOptions& publish, Measured& measured) {
  const Options& options = worker.run.options;
  Publishers publishers(worker.loop, worker.tally, worker.run.clients,
                        worker.group(0, options.pubs), publish);
  bool is_complete = worker.settle(publishers);
  std::optional<Subscribers> subscribers;
  if (options.command == Command::kPubsub) {
    subscribers.emplace(worker.loop, worker.tally, worker.group(options.pubs, options.subs),
                        options.filter, publish.qos);
    is_complete &= worker.settle(*subscribers);
    await_subscriptions(worker, *subscribers);
  }
  worker.meet([&] { measured.before = worker.run.read(); });
  worker.tally.lag = swarm::Histogram();  // of connecting
  publish_all(worker, publishers);
  if (subscribers) await_deliveries(worker, *subscribers);
  is_complete &= publishers.is_done() && publishers.open_count() > 0 && !worker.must_end();
  publishers.give_up();
  worker.meet([&] { measured.after = worker.run.read(); });
  if (!is_complete) measured.is_complete = false;
}

}  // namespace

Result<Report> run_pub(const Options& options, const Clock& clock) {
  SLUICE_TRY_ASSIGN(const TextTemplate topic, TextTemplate::parse(options.topic, true));
  const PublishOptions publish = publish_options(options, topic);
  Measured measured;
  const bool has_subscribers = options.command == Command::kPubsub;
  const std::uint64_t clients = options.pubs + (has_subscribers ? options.subs : 0);
  SLUICE_TRY_ASSIGN(
      const auto tallies,
      run_workers(options, clock,
                  {.clients = clients,
                   .open_at_a_time = clients,
                   .crews = {{.body = [&](Worker& worker) { work(worker, publish, measured); },
                              .port = options.port}}}));
  const Tally& tally = tallies[0];

  Report report(has_subscribers ? "pubsub" : "pub");
  const std::uint64_t done = publish.qos == mqtt::Qos::kAtMostOnce ? tally.sent : tally.acked;
  const double seconds = seconds_between(measured.before, measured.after);
  report.add_count("sent", tally.sent, "sent");
  report.add_count("acked", tally.acked, "acked");
  if (has_subscribers) report.add_count("received", tally.received, "received");
  report.add("seconds", seconds, "");
  report.add("messages_per_second", static_cast<double>(done) / seconds, "msg/s");
  add_cpu(report, options, measured.before, measured.after, done);
  report.add_latency("ack", tally.answering);
  report.add_latency("delivery", tally.delivering);
  report.add_latency("generator_lag", tally.lag);
  report.add_outcome(tally);
  if (!measured.is_complete) report.set_incomplete("not all was sent and answered in time");
  return report;
}

}  // namespace sluice::load
