#include "run.h"

#include "ledger.h"
#include "proof.h"
#include "routes.h"
#include "simulation.h"

#include <chrono>
#include <format>
#include <memory>
#include <utility>

#include <sluice/log/logger.h>

#include <sys/resource.h>
#include <unistd.h>

namespace sluice::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLongestWait(20);
constexpr seconds kMoment(1);

/// Small, fast and the same for one seed; secrets are not made of it.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t value = state_;
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
  }

 private:
  std::uint64_t state_;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

/// A device without a descriptor could never connect, and the run never end.
Result<> check_descriptors(std::uint32_t devices) {
  constexpr rlim_t kOthers = 64;  // Kafka's, the loop's, files
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (devices + kOthers <= files.rlim_cur) return {};
  return fail(
      ErrorCode::kResourceExhausted,
      std::format("{} devices, but only {} open files are allowed", devices, files.rlim_cur));
}

/// Tells of each second that has passed.
class Seconds {
 public:
  Seconds(const RunEvents& events, Simulation& simulation, Proof& proof, std::uint32_t devices,
          MonoTime now)
      : events_(events), simulation_(simulation), proof_(proof), devices_(devices), last_(now) {}

  void at(MonoTime now) {
    if (now - last_ < kMoment) return;
    const double passed = std::chrono::duration<double>(now - last_).count();
    const Counts& counts = simulation_.counts();
    const swarm::Histogram recent = simulation_.take_recent();
    proof_.update();
    if (events_.on_second) {
      events_.on_second(
          {.devices = devices_,
           .connected = counts.connected,
           .messages_per_second = static_cast<double>(counts.publishes - publishes_) / passed,
           .p50_ms = to_ms(recent.quantile(0.5)),
           .p99_ms = to_ms(recent.quantile(0.99)),
           .acknowledged = counts.acks,
           .unanswered = counts.unanswered,
           .lost = proof_.missing(),
           .duplicated = proof_.duplicated()});
    }
    publishes_ = counts.publishes;
    last_ = now;
  }

 private:
  const RunEvents& events_;
  Simulation& simulation_;
  Proof& proof_;
  const std::uint32_t devices_;
  MonoTime last_;
  std::uint64_t publishes_ = 0;
};

}  // namespace

Result<Report> run_fleet(const Options& options, const Roster& roster, const Clock& clock,
                         const RunEvents& events) {
  const auto phase = [&](std::string_view text) {
    if (events.on_phase) events.on_phase(text);
  };
  const auto is_stopping = [&] { return events.is_stopping && events.is_stopping(); };
  const auto to_span = [](double value) {
    return milliseconds(static_cast<std::int64_t>(value * 1000));
  };
  const Logger logger("sluice-sim", LogLevel::kError, clock, make_fd_log_sink(STDERR_FILENO));
  SLUICE_TRY(check_descriptors(roster.size()));
  Report report{.seed = options.seed,
                .devices = roster.size(),
                .start_ms = clock.wall().time_since_epoch().count(),
                .was_checked = !options.brokers.empty(),
                .forbids_duplicates = options.no_duplicates};
  const Fleet fleet(options.fleet(), roster.profiles(), report.start_ms);
  Ledger ledger(roster.size());
  SLUICE_TRY_ASSIGN(const auto routes, Routes::make(options.routes(), roster, fleet));
  SLUICE_TRY_ASSIGN(const auto proof, Proof::begin(options, fleet, roster, ledger, clock, logger));
  SeededRandom random(options.seed);
  Simulation simulation(options.simulation(), fleet, roster, *routes, clock, random, ledger);
  simulation.on_acknowledged = [&](std::uint32_t device, std::uint32_t sequence) {
    proof->on_acknowledged(device, sequence);
  };
  const MonoTime began = clock.mono();
  const double cpu_before = cpu_seconds();
  const MonoTime end = options.seconds > 0 ? began + to_span(options.seconds) : MonoTime::max();
  Seconds moments(events, simulation, *proof, roster.size(), began);
  while (clock.mono() < end && !is_stopping()) {
    simulation.step(kLongestWait);
    if (events.takes_storm && events.takes_storm()) simulation.storm();
    moments.at(clock.mono());
  }
  report.seconds = std::chrono::duration<double>(clock.mono() - began).count();
  report.cpu_seconds = cpu_seconds() - cpu_before;
  phase("waiting for the last acknowledgements");
  simulation.begin_end();
  const MonoTime deadline = clock.mono() + to_span(options.drain);
  while (!simulation.is_settled() && clock.mono() < deadline) {
    simulation.step(kLongestWait);
    moments.at(clock.mono());
  }
  report.is_settled = simulation.is_settled();
  simulation.disconnect_all();
  report.counts = simulation.counts();
  report.answering = simulation.answering();
  if (events.on_end) events.on_end(ledger);
  if (report.was_checked) phase("comparing with what the platform holds");
  SLUICE_TRY_ASSIGN(report.completeness, proof->finish());
  return report;
}

}  // namespace sluice::sim
