// The engine of a server's connection under whatever a client sends, over several connections of
// one session: it never crashes, what it sends is whole packets, it ends once, and every message
// that was queued ends once.

#include "../fuzz.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <sluice/mqtt/connection.h>

namespace sluice::mqtt {
namespace {

/// Lets everybody in and answers by choice: at once, late, in another order, with a refusal.
class Server final : public ConnectionEvents {
 public:
  explicit Server(fuzz::Choices choices) : choices_(choices) {
    limits_.max_packet_size = 2048;
    limits_.receive_maximum = 5;
    limits_.send_maximum = 3;
    limits_.topic_alias_maximum = 3;
    limits_.outgoing_topic_aliases = 2;
    session_limits_.max_queued = 8;
    session_limits_.max_inbound_qos2 = 4;
  }

  void run(std::span<const std::byte> bytes) {
    std::size_t given = 0;
    for (int step = 0; step < 200; ++step) {
      const std::size_t more = std::min<std::size_t>(1 + choices_.below(64), bytes.size() - given);
      given += more;
      taken_ += connection_.on_bytes(now_, bytes.subspan(taken_, given - taken_), out_, *this);
      SLUICE_CHECK(taken_ <= given);
      act();
      check_output();
      if (more == 0 && choices_.at_end()) break;
    }
    // Nobody answers any more: what is open must still come to its end.
    while (!waiting_.empty()) answer(0, ReasonCode::kSuccess);
    SLUICE_CHECK(connection_.unanswered() == 0);
    std::size_t left = 0;
    session_.for_each_delivery([&](const Delivery& delivery) {
      SLUICE_CHECK(queued_.contains(delivery.sequence));
      ++left;
    });
    SLUICE_CHECK(left == queued_.size() && left == session_.queued());
  }

  void on_connect(const Connect&) override {
    if (choices_.below(16) == 1) {
      return connection_.refuse(ReasonCode::kServerBusy, "busy", {}, out_);
    }
    connection_.accept(session_, {.session_present = true}, out_);
  }
  void on_publish(const Publish& publish, PublishId id) override {
    SLUICE_CHECK(!publish.topic.empty() && !is_closed_);
    last_ = std::make_shared<const Message>(to_message(publish, 1, now_));
    if (id == 0) return;
    waiting_.push_back(id);
    if (choices_.below(2) == 0) answer(waiting_.size() - 1, ReasonCode::kSuccess);
  }
  void on_publish_released(std::uint16_t packet_id) override {
    SLUICE_CHECK(packet_id != 0);
    connection_.release_done(packet_id, out_);
  }
  void on_subscribe(const Subscribe& subscribe) override {
    const std::vector<ReasonCode> reasons(subscribe.filters.count(), ReasonCode::kSuccess);
    connection_.filters_done(PacketType::kSuback, subscribe.packet_id, reasons, out_);
  }
  void on_unsubscribe(const Unsubscribe& unsubscribe) override {
    const std::vector<ReasonCode> reasons(unsubscribe.filters.count(), ReasonCode::kSuccess);
    connection_.filters_done(PacketType::kUnsuback, unsubscribe.packet_id, reasons, out_);
  }
  void on_close(const Close&) override {
    SLUICE_CHECK(!is_closed_);
    is_closed_ = true;
  }
  void on_outbound_changed(const Delivery& delivery) override {
    SLUICE_CHECK(queued_.contains(delivery.sequence) && delivery.packet_id != 0);
  }
  void on_outbound_done(const Delivery& delivery, End) override {
    SLUICE_CHECK(queued_.erase(delivery.sequence) == 1);
  }

 private:
  void act() {
    switch (choices_.below(8)) {
      case 0:
        enqueue(static_cast<Qos>(choices_.below(3)));
        break;
      case 1:
        connection_.deliver(now_, choices_.byte(), out_, *this);
        break;
      case 2:
        if (!waiting_.empty()) {
          answer(choices_.below(256) % waiting_.size(),
                 choices_.below(3) == 0 ? ReasonCode::kQuotaExceeded : ReasonCode::kSuccess);
        }
        break;
      case 3:
        now_ += std::chrono::seconds(choices_.byte());
        break;
      case 4:
        connection_.release_memory();
        session_.release_memory();
        break;
      case 5:
        if (choices_.below(4) == 1) reconnect();
        break;
      default:
        break;
    }
  }

  void enqueue(Qos qos) {
    const auto message = last_ ? last_ : std::make_shared<const Message>(Message{.topic = "t"});
    Delivery delivery{
        .message = message, .qos = qos, .subscription_ids = {choices_.below(200) + 1}};
    if (session_.enqueue(delivery) == Session::Queued::kQueued) {
      SLUICE_CHECK(queued_.insert(delivery.sequence).second);
    }
  }

  void answer(std::size_t index, ReasonCode reason) {
    const PublishId id = waiting_[index];
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(index));
    connection_.publish_done(id, reason, is_failure(reason) ? "full" : "", out_);
  }

  /// What comes next is of a new connection of the same session.
  void reconnect() {
    connection_.disconnect(ReasonCode::kSessionTakenOver, {}, {}, out_);
    while (!waiting_.empty()) answer(0, ReasonCode::kSuccess);
    check_output();
    connection_.detach();
    connection_ = Connection(limits_);
    is_closed_ = false;
  }

  void check_output() {
    for (std::span<const std::byte> rest = out_; !rest.empty();) {
      const auto frame = next_frame(rest, kMaxRemainingLength);
      SLUICE_CHECK(frame && *frame);
      rest = rest.subspan((*frame)->size);
    }
    out_.clear();
  }

  fuzz::Choices choices_;
  ConnectionLimits limits_;
  Session::Limits session_limits_;
  Session session_{session_limits_};
  Connection connection_{limits_};
  Output out_;
  MonoTime now_{};
  MessagePtr last_;
  std::vector<PublishId> waiting_;
  std::set<std::uint64_t> queued_;
  std::size_t taken_ = 0;
  bool is_closed_ = false;
};

}  // namespace
}  // namespace sluice::mqtt

/// The client's bytes, whole packets as the mutator likes them; the choices are made of them too,
/// from the end, so that the framing stays as it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> choices(data, data + size);
  std::ranges::reverse(choices);
  sluice::mqtt::Server server(sluice::fuzz::Choices(choices.data(), choices.size()));
  server.run(sluice::fuzz::as_bytes(data, size));
  return 0;
}
