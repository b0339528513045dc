#include "adapters/front_loop.h"

#include <algorithm>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

// One read takes at most this much: small enough to stay in the second-level cache.
constexpr std::size_t kReadSize = 64 * 1024;
// How often a loop looks after records under way, besides when their producer wakes it: one that is
// being rebuilt does not.
constexpr auto kKafkaCheck = std::chrono::milliseconds(100);
// How often a fenced loop looks whether it may act again.
constexpr auto kFenceCheck = std::chrono::milliseconds(10);

// How many clients that have left are seen off in a turn: about two milliseconds.
constexpr int kLeavingsPerTurn = 32;

// How often the last records are looked after.
constexpr auto kFlushStep = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<FrontLoop>> FrontLoop::create(Parts parts) {
  SLUICE_TRY_ASSIGN(auto loop, net::Loop::create(parts.loop_options, parts.clock, parts.registry));
  return std::unique_ptr<FrontLoop>(new FrontLoop(std::move(parts), std::move(loop)));
}

FrontLoop::FrontLoop(Parts parts, std::unique_ptr<net::Loop> loop)
    : parts_(std::move(parts)),
      loop_(std::move(loop)),
      full_(parts_.registry.counter("sluice_mqtt_connections_over_limit_total",
                                    "Connections closed at once: max_connections are open.")),
      gave_way_(parts_.registry.counter("sluice_mqtt_gave_way_total",
                                        "Connections without CONNACK that were ended for another: "
                                        "handshakes_at_once were under way.")),
      buffer_(kReadSize) {}

FrontLoop::~FrontLoop() { stop(); }

void FrontLoop::attach(std::unique_ptr<KafkaSink> sink, std::unique_ptr<Broker> broker,
                       std::vector<FrontLoop*> peers) {
  sink_ = std::move(sink);
  broker_ = std::move(broker);
  peers_ = std::move(peers);
  loop_->before_wait([this] { end_turn(); });
}

Result<> FrontLoop::listen(std::vector<ListenerPlan>& plans) {
  for (ListenerPlan& plan : plans) {
    SLUICE_TRY_ASSIGN(auto listener,
                      net::Listener::open(
                          *loop_, {.address = plan.address, .name = plan.name}, parts_.registry,
                          [this](const net::SocketAddress& peer) { return admit(peer); },
                          [this, &plan](net::Socket socket, const net::SocketAddress& peer) {
                            accepted(plan, std::move(socket), peer);
                          }));
    plan.address = listener->address().text();
    listeners_.push_back(std::move(listener));
  }
  if (sink_->wake_fd() >= 0) {
    SLUICE_TRY(loop_->add(sink_->wake_fd(), EPOLLIN, kafka_wake_));
  }
  return {};
}

void FrontLoop::start() {
  thread_ = std::jthread([this] { loop_->run(); });
}

void FrontLoop::stop_listening() {
  post([this] {
    for (auto& listener : listeners_) listener->close();
  });
}

void FrontLoop::end_connections() {
  stop_listening();
  post([this] {
    for (auto& socket : sockets_) {
      if (socket) socket->abandon();
    }
  });
}

std::size_t FrontLoop::unsettled() const {
  if (is_fenced()) return 0;
  return broker_->clients() + broker_->unattended() + broker_->waiting_records() +
         sink_->in_flight();
}

void FrontLoop::stop() {
  if (!thread_.joinable()) return;
  end_connections();
  loop_->stop();
  thread_.join();
}

std::size_t FrontLoop::flush_records(MonoTime deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - parts_.clock.mono());
    // In steps, as each that Kafka takes makes room for one that waits.
    static_cast<void>(sink_->flush(std::clamp(left, std::chrono::milliseconds(0), kFlushStep)));
    const auto answers = sink_->poll();
    if (!SLUICE_PLANTED_BUG("front_leaves_qos2_half_done")) broker_->on_stored(answers);
    broker_->retry_records();
    const std::size_t rest = sink_->in_flight() + broker_->waiting_records();
    if (rest == 0 || left <= std::chrono::milliseconds(0)) return rest;
  }
}

void FrontLoop::detach() {
  gone_.clear();
  sockets_.clear();
  listeners_.clear();
  broker_.reset();
  sink_.reset();
}

bool FrontLoop::admit(const net::SocketAddress& peer) {
  if (open_ >= parts_.max_sockets) {
    full_.add();
    return false;
  }
  ConnectionAdmission& admission = parts_.admission;
  const MonoTime now = loop_->now();
  const Strangers::Stranger* const loser =
      admission.has_room() ? nullptr
                           : strangers_.who_gives_way(group_of(peer), now, [this](const auto& one) {
                               return sockets_[static_cast<std::size_t>(one.fd)]->quiet_for();
                             });
  if (loser == nullptr) return admission.admit_socket(now).is_admitted;
  const bool is_admitted = admission.admit_in_place(now).is_admitted;
  if (is_admitted) {
    gave_way_.add();
    sockets_[static_cast<std::size_t>(loser->fd)]->give_way();
  }
  return is_admitted;
}

void FrontLoop::accepted(const ListenerPlan& plan, net::Socket socket,
                         const net::SocketAddress& peer) {
  const int fd = socket.fd();
  net::Stream stream;
  if (plan.tls != nullptr) {
    auto accepted = plan.tls->accept(std::move(socket));
    if (!accepted) return parts_.admission.handshake_done();
    stream = *std::move(accepted);
  } else {
    stream = net::Stream(std::move(socket));
  }
  adopt(std::make_unique<DeviceSocket>(*this, plan, std::move(stream), peer, ++last_serial_), fd);
}

void FrontLoop::adopt(std::unique_ptr<DeviceSocket> socket, int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= sockets_.size()) sockets_.resize(index + 1);
  SLUICE_CHECK(sockets_[index] == nullptr);
  sockets_[index] = std::move(socket);
  ++open_;
  if (!sockets_[index]->start()) sockets_[index]->abandon();
}

void FrontLoop::forget(DeviceSocket& socket, int fd) {
  std::erase(starved_, &socket);
  std::erase(deferred_, &socket);
  std::erase(to_read_, &socket);
  std::erase(to_flush_, &socket);
  if (socket.is_leaving()) std::erase(leaving_, &socket);
  --open_;
  // It may be on the stack below us, or in the list that this turn goes through.
  gone_.push_back(std::move(sockets_[static_cast<std::size_t>(fd)]));
}

void FrontLoop::move(std::size_t target, const ListenerPlan& plan, DeviceSocket::Moved moved) {
  FrontLoop& other = *peers_[target];
  other.post([&other, &plan, moved = std::move(moved)]() mutable {
    const int fd = moved.stream.fd();
    const std::uint32_t serial = ++other.last_serial_;
    other.adopt(std::make_unique<DeviceSocket>(other, plan, std::move(moved), serial), fd);
  });
}

void FrontLoop::find_psk(DeviceSocket& socket, std::string_view identity) {
  if (!parts_.find_psk) return socket.answer_psk(std::nullopt);
  // The socket may be gone when the answer comes, and another in its place, which must not get the
  // key of an identity that it did not name.
  const auto fd = static_cast<std::size_t>(socket.fd());
  const std::uint32_t serial = socket.serial();
  parts_.find_psk(std::string(identity), [this, fd, serial](std::optional<Secret> key) {
    post([this, fd, serial, key = std::move(key)]() mutable {
      DeviceSocket* const asked = fd < sockets_.size() ? sockets_[fd].get() : nullptr;
      const bool is_who_asked =
          asked != nullptr &&
          (asked->serial() == serial || SLUICE_PLANTED_BUG("front_answers_by_descriptor"));
      if (is_who_asked) asked->answer_psk(std::move(key));
    });
  });
}

bool FrontLoop::is_fenced() const {
  return drops_ordered_.load(std::memory_order_acquire) != drops_done_ ||
         (parts_.may_act && !parts_.may_act(loop_->now()));
}

void FrontLoop::drop_all(std::string reason) {
  // Counted before a lease can be valid again: a loop that was stopped for the whole time between
  // the two would else go on as if nothing had been, until it came to the task.
  drops_ordered_.fetch_add(1, std::memory_order_release);
  post([this, reason = std::move(reason)] {
    broker_->drop_all(reason);
    ++drops_done_;
  });
}

void FrontLoop::end_turn() {
  // By the clock and not by the time of the turn, as the process may have been stopped within it.
  const bool may_act = !parts_.may_act || parts_.may_act(parts_.clock.mono());
  if (!may_act || is_fenced()) return wait_until_allowed();
  if (waits_) catch_up();
  broker_->on_stored(sink_->poll());
  broker_->retry_records();
  broker_->run_due();
  if (!starved_.empty() && !broker_->is_full()) {
    turn_.clear();
    std::swap(turn_, starved_);
    for (DeviceSocket* socket : turn_) socket->feed_again();
  }
  turn_.clear();
  std::swap(turn_, to_read_);
  for (DeviceSocket* socket : turn_) socket->resume();
  turn_.clear();
  std::swap(turn_, to_flush_);
  for (std::size_t i = 0; i < turn_.size(); ++i) {
    if (i + 3 < turn_.size()) prefetch(turn_[i + 3], sizeof(DeviceSocket));
    if (i + 2 < turn_.size()) turn_[i + 2]->prefetch_for_flush(PrefetchStep::kObject);
    if (i + 1 < turn_.size()) turn_[i + 1]->prefetch_for_flush(PrefetchStep::kPointees);
    turn_[i]->flush();
  }
  turn_.clear();
  let_some_leave();
  gone_.clear();
  if (sink_->in_flight() > 0 && !kafka_check_.is_armed()) loop_->arm(kafka_check_, kKafkaCheck);
  if (broker_->has_due() && !due_.is_armed()) loop_->arm(due_, Broker::kDueInterval);
  // What asked for more meanwhile has its turn at once: an empty task keeps the loop from sleeping.
  if (!to_read_.empty() || !to_flush_.empty() || !leaving_.empty()) loop_->post([] {});
}

// When a network breaks, all of its clients have left at once, and to end one costs several times
// what a message does: those who stay do not wait for all of them.
void FrontLoop::let_some_leave() {
  for (int left = kLeavingsPerTurn; left > 0 && !leaving_.empty(); --left) {
    DeviceSocket* const socket = leaving_.front();
    leaving_.pop_front();
    socket->leave();
  }
}

void FrontLoop::wait_until_allowed() {
  if (!std::exchange(waits_, true) && sink_->wake_fd() >= 0) {
    loop_->modify(sink_->wake_fd(),
                  0);  // nobody takes what it announces: it would not let us sleep
  }
  loop_->arm(fence_check_, kFenceCheck);
  gone_.clear();
}

void FrontLoop::catch_up() {
  waits_ = false;
  fence_check_.cancel();
  if (sink_->wake_fd() >= 0) loop_->modify(sink_->wake_fd(), EPOLLIN);
  turn_.clear();
  std::swap(turn_, deferred_);
  for (DeviceSocket* socket : turn_) socket->catch_up();
}

}  // namespace sluice::front
