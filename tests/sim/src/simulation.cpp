#include "simulation.h"

namespace sluice::sim {

namespace {

using std::chrono::milliseconds;

/// A server that has not answered CONNECT by then is taken for dead.
constexpr std::chrono::seconds kConnectTimeout(20);
/// How exact patience is: all devices are looked at.
constexpr milliseconds kBetweenLooks(250);

}  // namespace

Simulation::Simulation(const SimulationOptions& options, const Fleet& fleet, const Roster& roster,
                       const Routes& routes, const Clock& clock, Random& random, Ledger& ledger)
    : options_(options),
      fleet_(fleet),
      roster_(roster),
      routes_(routes),
      clock_(clock),
      ledger_(ledger),
      began_(clock.mono()),
      loop_(routes.of(0, 0), roster, clock),
      connections_(roster.size()),
      next_storm_(options.storm_every > milliseconds(0) ? options.storm_every : Fleet::Time::max()),
      next_look_(options.patience > milliseconds(0) ? began_ + kBetweenLooks : MonoTime::max()) {
  buffered_property_.add("buffered", "true");
  devices_.reserve(roster.size());
  for (std::uint32_t device = 0; device < roster.size(); ++device) {
    devices_.emplace_back(options.reconnect, random).topic = roster.topic(device);
    connections_[device].slot = device;
    if (is_offline(device)) {
      go_away(device);
    } else {
      retry(device);
    }
  }
}

Simulation::~Simulation() {
  for (swarm::Connection& connection : connections_) loop_.drop(connection);
}

MonoTime Simulation::mono(Fleet::Time time) const {
  return time == Fleet::Time::max() ? MonoTime::max() : began_ + time;
}

Fleet::Time Simulation::now() const {
  return std::chrono::duration_cast<Fleet::Time>(clock_.mono() - began_);
}

bool Simulation::is_offline(std::uint32_t device) const {
  return end_ == Fleet::Time::max() && fleet_.is_offline(device, now());
}

void Simulation::step(milliseconds wait) {
  const MonoTime time = clock_.mono();
  const MonoTime next = wakes_.empty() ? MonoTime::max() : wakes_.top().first;
  const auto until_next = next <= time         ? std::chrono::nanoseconds(0)
                          : next < time + wait ? std::chrono::nanoseconds(next - time)
                                               : std::chrono::nanoseconds(wait);
  loop_.poll(until_next);
  if (now() >= next_storm_) {
    next_storm_ += options_.storm_every;
    storm();
  }
  if (clock_.mono() >= next_look_) lose_patience();
  // As of one moment: with many devices there is always one more that has become due meanwhile, and
  // answers would never be read.
  const MonoTime until = clock_.mono();
  while (!wakes_.empty() && wakes_.top().first <= until) {
    const auto [when, device] = wakes_.top();
    wakes_.pop();
    if (devices_[device].wake_at == when) wake(device);
  }
}

void Simulation::abandon(std::uint32_t device, std::string_view reason) {
  loop_.drop(connections_[device]);
  --counts_.connected;
  ++counts_.ends[std::string(reason)];
  retry(device);
}

void Simulation::storm() {
  ++counts_.storms;
  for (std::uint32_t device = 0; device < roster_.size(); ++device) {
    if (devices_[device].state == State::kOnline) abandon(device, "storm");
  }
}

void Simulation::lose_patience() {
  const MonoTime time = clock_.mono();
  next_look_ = time + kBetweenLooks;
  for (std::uint32_t device = 0; device < roster_.size(); ++device) {
    const Device& one = devices_[device];
    if (one.state != State::kOnline || one.in_flight.empty()) continue;
    if (time - one.in_flight.front().sent_at < options_.patience) continue;
    abandon(device, "no_answer");
  }
}

void Simulation::wake_at(std::uint32_t device, MonoTime when) {
  devices_[device].wake_at = when;
  if (when != MonoTime::max()) wakes_.emplace(when, device);
}

void Simulation::go_away(std::uint32_t device) {
  devices_[device].state = State::kAway;
  wake_at(device, mono(fleet_.next_change(device, now())));
}

void Simulation::retry(std::uint32_t device) {
  devices_[device].state = State::kWaiting;
  wake_at(device, clock_.mono() + devices_[device].backoff.next());
}

void Simulation::wake(std::uint32_t device) {
  switch (devices_[device].state) {
    case State::kAway:
      return is_offline(device) ? go_away(device) : retry(device);
    case State::kWaiting:
      if (is_offline(device)) return go_away(device);
      devices_[device].state = State::kConnecting;
      wake_at(device, clock_.mono() + kConnectTimeout);
      return loop_.open(connections_[device], *this, device,
                        routes_.of(device, devices_[device].attempts++));
    case State::kConnecting:
      loop_.drop(connections_[device]);
      ++counts_.ends["no_answer_to_connect"];
      return retry(device);
    case State::kOnline:
      break;
  }
  if (is_offline(device)) {
    loop_.drop(connections_[device]);  // the network is gone: nobody says goodbye
    --counts_.connected;
    ++counts_.ends["went_away"];
    return go_away(device);
  }
  publish_due(device);
}

void Simulation::begin_end() {
  end_ = now();
  next_storm_ = Fleet::Time::max();
  for (std::uint32_t device = 0; device < roster_.size(); ++device) {
    if (devices_[device].state == State::kAway) wake_at(device, clock_.mono());
  }
}

bool Simulation::is_settled() const {
  if (counts_.unanswered > 0) return false;
  for (std::uint32_t device = 0; device < roster_.size(); ++device) {
    if (fleet_.due(device, devices_[device].next) < end_) return false;
  }
  return true;
}

void Simulation::disconnect_all() {
  for (swarm::Connection& connection : connections_) loop_.disconnect(connection);
}

void Simulation::on_open(swarm::Connection& connection) {
  Device& device = devices_[connection.slot];
  device.state = State::kOnline;
  device.backoff.reset();
  device.online_since = now();
  ++counts_.connects;
  ++counts_.connected;
  if (device.had_session && !connection.had_session()) ++counts_.lost_sessions;
  device.had_session = true;
  resend(connection.slot);
  if (device.state == State::kOnline) publish_due(connection.slot);
}

void Simulation::on_end(swarm::Connection& connection, std::string_view reason) {
  if (devices_[connection.slot].state == State::kOnline) --counts_.connected;
  ++counts_.ends[std::string(reason)];
  retry(connection.slot);
}

void Simulation::on_read_done(swarm::Connection& connection) {
  if (!releases_.empty()) {
    loop_.send(connection, releases_);
    releases_.clear();
  }
  if (devices_[connection.slot].state == State::kOnline) publish_due(connection.slot);
}

void Simulation::on_writable(swarm::Connection& connection) { publish_due(connection.slot); }

}  // namespace sluice::sim
