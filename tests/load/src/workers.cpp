#include "workers.h"

#include "listen_drops.h"

#include <algorithm>
#include <csignal>
#include <deque>
#include <format>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <sys/resource.h>

namespace sluice::load {

namespace {

/// Files of a process that are not connections: standard ones, epolls, /proc; generously.
constexpr std::uint64_t kOtherFiles = 32;
/// Connections from one source address to one server: net.ipv4.ip_local_port_range is 28,232 wide
/// where nobody has changed it, of which connect() looks at every second port first. Once those are
/// taken each connect() goes through all of them in vain, which is slow; and some ports are still
/// in TIME_WAIT.
constexpr std::uint64_t kPortsPerSource = 10'000;

Result<Clients> make_clients(const Options& options) {
  Clients::Options made{
      .client_id = options.client_id, .user = options.user, .password = options.password};
  if (!options.credentials.empty()) {
    std::ifstream file(options.credentials);
    if (!file) return fail(ErrorCode::kNotFound, "cannot read " + options.credentials);
    std::ostringstream text;
    text << file.rdbuf();
    made.listed = std::move(text).str();
  }
  return Clients::make(made);
}

swarm::Target make_target(const Options& options, std::uint32_t port, std::uint64_t clients,
                          swarm::TlsContext* tls) {
  const auto needed = static_cast<std::uint32_t>(clients / kPortsPerSource + 1);
  const std::uint32_t sources = options.sources > 0 ? options.sources : needed > 1 ? needed : 0;
  return {.host = options.host,
          .port = static_cast<std::uint16_t>(port),
          .version = static_cast<mqtt::Version>(options.mqtt),
          .keep_alive_seconds = static_cast<std::uint16_t>(options.keepalive),
          .clean_start = !options.persistent,
          .session_expiry_seconds = options.persistent ? 3600U : 0U,
          .sources = sources,
          .tls = tls,
          .resumes = options.resume};
}

}  // namespace

void Rendezvous::meet(const std::function<void()>& last) {
  std::unique_lock lock(mutex_);
  if (++present_ == threads_) {
    last();
    present_ = 0;
    ++round_;
    met_.notify_all();
    return;
  }
  met_.wait(lock, [this, round = round_] { return round_ != round; });
}

Reading Run::read() const {
  return {.time = clock.mono(),
          .usage = ProcessUsage::of(options.pids).value_or(ProcessUsage{}),
          .listen_drops = listen_drops().value_or(0)};
}

Worker::Share Worker::share(std::uint64_t total) const {
  const std::uint64_t threads = run.options.threads;
  const std::uint64_t first = total * number / threads;
  return {.first = first, .count = total * (number + 1) / threads - first};
}

Group::Options Worker::group(std::uint64_t first, std::uint64_t total) const {
  const Share part = share(total);
  const auto inflight = std::max<std::uint64_t>(share(run.options.inflight).count, 1);
  return {.first = static_cast<std::uint32_t>(first + part.first),
          .count = static_cast<std::uint32_t>(part.count),
          .inflight = static_cast<std::uint32_t>(inflight)};
}

void Worker::meet_at(Rendezvous& rendezvous, const std::function<void()>& last) {
  rendezvous.meet(last);
  lag.restart(loop.now());
}

void Worker::poll(std::chrono::nanoseconds timeout) {
  loop.poll(lag.limit(loop.now(), timeout));
  lag.polled(loop.now());
}

bool Worker::settle(Group& group) {
  using namespace std::chrono_literals;
  for (group.tick(); !group.is_settled() && !must_end(); group.tick()) poll(10ms);
  return group.is_settled();
}

Result<std::vector<Tally>> run_workers(const Options& options, const Clock& clock,
                                       const Plan& plan) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (plan.open_at_a_time + kOtherFiles > files.rlim_cur) {
    return fail(ErrorCode::kResourceExhausted,
                std::format("{} connections, but only {} open files are allowed",
                            plan.open_at_a_time, files.rlim_cur));
  }
  SLUICE_TRY_ASSIGN(const Clients names, make_clients(options));
  if (names.limit().value_or(plan.clients) < plan.clients) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("{} clients, but {} credentials", plan.clients, *names.limit()));
  }
  std::optional<swarm::TlsContext> tls;
  if (options.tls) {
    SLUICE_TRY_ASSIGN(tls, swarm::TlsContext::make(swarm::TlsContext::Side::kClient,
                                                   {.ca_file = options.ca,
                                                    .cert_file = options.cert,
                                                    .key_file = options.key,
                                                    .allow_1_3 = !options.tls12}));
  }
  // A wrong number would otherwise look like a server that uses nothing.
  SLUICE_TRY(ProcessUsage::of(options.pids));
  const auto crews = static_cast<std::uint32_t>(plan.crews.size());
  std::deque<swarm::Loop> loops;
  std::deque<Rendezvous> meetings;
  for (const Crew& crew : plan.crews) {
    SLUICE_TRY_ASSIGN(
        const auto route,
        swarm::Route::make(make_target(options, crew.port, plan.clients, tls ? &*tls : nullptr)));
    for (std::uint32_t i = 0; i < options.threads; ++i) loops.emplace_back(route, names, clock);
    meetings.emplace_back(options.threads);
  }
  Run run{.options = options,
          .clients = names,
          .clock = clock,
          .rendezvous = Rendezvous(options.threads * crews),
          .deadline = clock.mono() +
                      std::chrono::nanoseconds(static_cast<std::int64_t>(options.timeout * 1e9))};
  std::vector<Tally> tallies(loops.size());
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t thread = 0; thread < loops.size(); ++thread) {
      threads.emplace_back([&, thread] {
        prctl(PR_SET_TIMERSLACK, 1);  // per thread; the default of 50 us would show in latencies
        const std::uint32_t crew = thread / options.threads;
        const char* const name = plan.crews[crew].name;
        if (*name != '\0') prctl(PR_SET_NAME, name);
        Worker worker{.run = run,
                      .crew = meetings[crew],
                      .loop = loops[thread],
                      .tally = tallies[thread],
                      .number = thread % options.threads,
                      .lag = LagProbe(clock.mono(), tallies[thread].lag)};
        plan.crews[crew].body(worker);
      });
    }
  }
  std::vector<Tally> counted(crews);
  for (std::size_t i = 0; i < tallies.size(); ++i) counted[i / options.threads].add(tallies[i]);
  return counted;
}

void prepare_process() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets in a way that raises it
}

}  // namespace sluice::load
