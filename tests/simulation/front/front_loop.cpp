#include "front/front_loop.h"

#include <utility>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

// Less than a read may bring, so that some of it must wait.
constexpr std::size_t kRoom = 2;

kafka::ProducerConfig producer_config() {
  kafka::ProducerConfig config;
  config.max_in_flight_records = FrontProcess::kMaxInFlight;
  config.delivery_timeout = 5s;
  return config;
}

front::ConnectionAdmission::Settings open_door() {
  // Devices whose network breaks all the time are not turned away.
  return {.client_connects = front::Rate(1000, 1000), .flapping_disconnects = 0};
}

}  // namespace

FrontProcess::Loop::Loop(World& world, Cluster& cluster, SimRegistry& registry, Sessions& sessions)
    : world_(world),
      sessions_(sessions),
      random_(world.random.fork()),
      observer_(world.trace),
      routes_(1000, random_),
      retained_({.max_messages = 100}, random_),
      admission_(open_door()),
      thread_(world),
      authenticator_(thread_, world, registry, topics_, [this] { turn(); }),
      sink_(cluster.producer("front", producer_config(),
                             [this] { thread_.later(10us, [this] { turn(); }); }),
            kMaxInFlight, kRoom) {
  store_.durable = sessions_.kept_->is_durable;
  store_.entries = std::exchange(sessions_.kept_->entries, {});
  sink_.set_partitions("telemetry.raw", cluster.partitions_of("telemetry.raw"));
  broker_ = std::make_unique<front::Broker>(options_,
                                            front::Broker::Ports{.clock = world.clock,
                                                                 .random = random_,
                                                                 .sink = sink_,
                                                                 .authenticator = authenticator_,
                                                                 .store = store_,
                                                                 .neighbours = neighbours_,
                                                                 .routes = routes_,
                                                                 .retained = retained_,
                                                                 .observer = observer_,
                                                                 .metrics = metrics_,
                                                                 .topics = topics_,
                                                                 .admission = admission_,
                                                                 .tenant_buckets = tenant_buckets_,
                                                                 .tenant_limits = tenant_limits_});
}

/// As after SIGKILL: nobody is told anything but by the kernel.
FrontProcess::Loop::~Loop() {
  for (auto& [id, socket] : sockets_) socket->stream->drop(Stream::Side::kFront);
  if (!store_.durable) return;
  for (auto& [key, entry] : store_.entries) entry.is_owned = false;
  sessions_.kept_->entries = std::move(store_.entries);
}

void FrontProcess::Loop::accept(StreamPtr stream) {
  const std::uint64_t id = next_socket_++;
  auto socket = std::make_unique<Socket>(*this, id, std::move(stream));
  socket->stream->attach(Stream::Side::kFront, *socket);
  socket->client = &broker_->open(*socket, {.address = "192.0.2.1"});
  sockets_.emplace(id, std::move(socket));
}

void FrontProcess::Loop::publish(std::string_view tenant, mqtt::MessagePtr message) {
  thread_.later(world_.hop(), [this, tenant = std::string(tenant), message = std::move(message)] {
    broker_->publish(tenant, message, [](Result<front::FanOutCounts>) {});
    turn();
  });
}

std::size_t FrontProcess::Loop::waiting_records() const {
  return static_cast<std::size_t>(metrics_.waiting_records.value());
}

void FrontProcess::Loop::Socket::on_bytes(std::span<const std::byte> bytes) {
  unread.emplace_back(bytes.begin(), bytes.end());
  loop.thread_.later(10us, [&front = loop] { front.turn(); });
}

void FrontProcess::Loop::Socket::on_gone(std::string_view reason) {
  loop.thread_.later(10us, [&front = loop, which = id, why = std::string(reason)] {
    const auto found = front.sockets_.find(which);
    if (found == front.sockets_.end()) return;
    const auto socket = std::move(found->second);
    front.sockets_.erase(found);
    socket->client->on_gone(why);
    front.turn();
  });
}

void FrontProcess::Loop::Socket::pause_until(MonoTime time) {
  paused_until = std::max(paused_until, time);
  loop.thread_.later(paused_until - loop.world_.clock.mono(), [&front = loop] { front.turn(); });
}

void FrontProcess::Loop::turn() {
  broker_->on_stored(sink_.poll());
  broker_->retry_records();
  broker_->run_due();
  for (auto& [id, socket] : sockets_) read(*socket);
  for (auto socket = sockets_.begin(); socket != sockets_.end();) {
    socket = flush(*socket->second) ? std::next(socket) : sockets_.erase(socket);
  }
  serve_tasks();
  look_again();
}

/// For what the broker does when some time has passed.
void FrontProcess::Loop::look_again() {
  if (!broker_->has_due() || std::exchange(looks_again_, true)) return;
  thread_.later(front::Broker::kDueInterval, [this] {
    looks_again_ = false;
    turn();
  });
}

void FrontProcess::Loop::read(Socket& socket) {
  socket.wants_turn = false;
  while (!socket.unread.empty() && !socket.closes && socket.client->wants_bytes() &&
         !broker_->is_full() && socket.paused_until <= world_.clock.mono()) {
    std::vector<std::byte>& piece = socket.unread.front();
    const std::size_t taken = socket.client->on_bytes(world_.clock.mono(), piece);
    piece.erase(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(taken));
    if (!piece.empty()) {  // the beginning of a packet, or more than it wants now
      if (socket.unread.size() == 1 || !socket.client->wants_bytes()) return;
      std::vector<std::byte>& next = socket.unread[1];
      next.insert(next.begin(), piece.begin(), piece.end());
    }
    socket.unread.pop_front();
  }
}

/// False: it is closed, and gone.
bool FrontProcess::Loop::flush(Socket& socket) {
  const auto send = [&] {
    mqtt::Output& output = socket.client->output();
    if (!output.empty() && !socket.client->must_be_silent()) {
      socket.stream->send(Stream::Side::kFront, output);
    }
    output.clear();
  };
  if (!std::exchange(socket.has_output, false) && !socket.closes) return true;
  send();
  if (socket.closes) {
    socket.stream->close(Stream::Side::kFront);
    socket.client->on_gone("closed");
    return false;
  }
  socket.client->on_writable(world_.clock.mono());
  send();
  if (socket.wants_turn) thread_.later(10us, [this] { turn(); });
  return true;
}

/// Answers of the session store come one by one, in the order of the questions.
void FrontProcess::Loop::serve_tasks() {
  for (; tasks_due_ < tasks_.size(); ++tasks_due_) {
    thread_.later(world_.between(100us, 2ms), [this] {
      --tasks_due_;
      tasks_.run_one();
      turn();
    });
  }
}

}  // namespace sluice::simulation
