#include <sluice/mqtt/session.h>

#include "session_queue.h"

#include <algorithm>

#include <sluice/base/planted_bug.h>

namespace sluice::mqtt {

bool may_be_given_on(const Delivery& delivery) {
  if (!delivery.share || !delivery.message || delivery.qos == Qos::kAtMostOnce) return false;
  return delivery.state == Delivery::State::kWaiting || delivery.qos == Qos::kAtLeastOnce ||
         SLUICE_PLANTED_BUG("mqtt_gives_on_sent_qos2");
}

Session::Session(const Limits& limits) : limits_(&limits) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

Session::Queue& Session::queue() {
  if (!queue_) queue_ = std::make_unique<Queue>();
  return *queue_;
}

Session::Queued Session::enqueue(Delivery& delivery) {
  SLUICE_CHECK(delivery.message != nullptr && delivery.packet_id == 0);
  const std::size_t size = delivery.message->size_bytes();
  if (queued() >= limits_->max_queued) return Queued::kFull;
  if (queued_bytes() > 0 && queued_bytes() + size > limits_->max_queued_bytes) return Queued::kFull;
  delivery.sequence = next_sequence_++;
  Queue& all = queue();
  (delivery.qos == Qos::kAtMostOnce ? all.qos0 : all.tracked).push_back(delivery);
  all.bytes += size;
  if (delivery.message->expires_at) {
    all.first_expiry = std::min(all.first_expiry, *delivery.message->expires_at);
  }
  return Queued::kQueued;
}

bool Session::drop_expired(MonoTime now, SessionChanges& changes) {
  if (!queue_ || queue_->first_expiry > now) return false;
  const std::size_t before = queued();
  MonoTime first_expiry = MonoTime::max();
  const auto drop_from = [&](Ring<Delivery>& ring, std::size_t begin) {
    for (std::size_t i = begin; i < ring.size();) {
      const Message& message = *ring[i].message;
      if (!message.has_expired(now)) {
        if (message.expires_at) first_expiry = std::min(first_expiry, *message.expires_at);
        ++i;
        continue;
      }
      queue_->bytes -= message.size_bytes();
      const Delivery dropped = std::move(ring[i]);
      ring.erase(i);
      changes.on_outbound_done(dropped, SessionChanges::End::kExpired);
    }
  };
  drop_from(queue_->tracked, queue_->under_way);
  drop_from(queue_->qos0, 0);
  queue_->first_expiry = first_expiry;
  return queued() < before;
}

Session::Withdrawn Session::withdraw(std::uint64_t sequence) {
  if (!queue_) return Withdrawn::kDone;
  const auto take_from = [&](Ring<Delivery>& ring, std::size_t begin) {
    for (std::size_t i = ring.size(); i > begin; --i) {
      if (ring[i - 1].sequence != sequence) continue;
      queue_->bytes -= ring[i - 1].message->size_bytes();
      ring.erase(i - 1);
      return true;
    }
    return false;
  };
  if (take_from(queue_->tracked, queue_->under_way) || take_from(queue_->qos0, 0)) {
    return Withdrawn::kWithdrawn;
  }
  for (std::size_t i = 0; i < queue_->under_way; ++i) {
    if (queue_->tracked[i].sequence == sequence) return Withdrawn::kUnderWay;
  }
  return Withdrawn::kDone;
}

void Session::restore(Delivery delivery) {
  // A store is outside: what it gives back may be cut or doubled, and must not break the order of
  // sent before waiting, nor give one packet id twice.
  if (delivery.state == Delivery::State::kReleased) {
    if (delivery.packet_id == 0 || delivery.qos != Qos::kExactlyOnce) return;
    delivery.message.reset();
  } else if (!delivery.message) {
    return;
  }
  Queue& all = queue();
  bool is_under_way = delivery.state != Delivery::State::kWaiting && delivery.packet_id != 0 &&
                      delivery.qos != Qos::kAtMostOnce;
  for (std::size_t i = 0; is_under_way && i < all.under_way; ++i) {
    if (all.tracked[i].packet_id == delivery.packet_id) is_under_way = false;
  }
  if (!is_under_way) {
    if (!delivery.message) return;
    delivery.packet_id = 0;
    delivery.state = Delivery::State::kWaiting;
  }
  next_sequence_ = std::max(next_sequence_, delivery.sequence + 1);
  if (delivery.message) all.bytes += delivery.message->size_bytes();
  if (delivery.message && delivery.message->expires_at) {
    all.first_expiry = std::min(all.first_expiry, *delivery.message->expires_at);
  }
  if (delivery.qos == Qos::kAtMostOnce) {
    all.qos0.push_back(std::move(delivery));
  } else if (is_under_way) {
    // New packet ids begin behind the latest, so that one soon acknowledged is not soon given
    // again.
    next_packet_id_ =
        delivery.packet_id == kMaxPacketId ? 1 : static_cast<std::uint16_t>(delivery.packet_id + 1);
    free_packet_ids_ = 0;
    all.tracked.insert(all.under_way++, std::move(delivery));
  } else {
    all.tracked.push_back(std::move(delivery));
  }
}

void Session::restore_inbound(std::uint16_t packet_id) {
  if (packet_id != 0 && !has_inbound(packet_id)) add_inbound(packet_id);
}

void Session::set_next_sequence(std::uint64_t sequence) {
  next_sequence_ = std::max(next_sequence_, sequence);
}

bool Session::is_idle() const { return queued() == 0 && inbound_.empty(); }

std::size_t Session::queued() const {
  return queue_ ? queue_->tracked.size() + queue_->qos0.size() : 0;
}

std::size_t Session::queued_bytes() const { return queue_ ? queue_->bytes : 0; }

std::size_t Session::under_way() const { return queue_ ? queue_->under_way : 0; }

const Delivery* Session::next_delivery(Cursor& cursor) const {
  if (!queue_) return nullptr;
  const bool has_tracked = cursor.tracked < queue_->tracked.size();
  const bool has_qos0 = cursor.qos0 < queue_->qos0.size();
  if (!has_tracked && !has_qos0) return nullptr;
  const bool takes_qos0 =
      has_qos0 && (!has_tracked ||
                   queue_->qos0[cursor.qos0].sequence < queue_->tracked[cursor.tracked].sequence);
  return takes_qos0 ? &queue_->qos0[cursor.qos0++] : &queue_->tracked[cursor.tracked++];
}

std::vector<Delivery> Session::take_shared(Take what, std::string_view share) {
  std::vector<Delivery> taken;
  if (!queue_) return taken;
  for (std::size_t i = what == Take::kUnsent ? queue_->under_way : 0; i < queue_->tracked.size();) {
    Delivery& delivery = queue_->tracked[i];
    if (!may_be_given_on(delivery) || (!share.empty() && *delivery.share != share)) {
      ++i;
      continue;
    }
    if (i < queue_->under_way) --queue_->under_way;
    queue_->bytes -= delivery.message->size_bytes();
    taken.push_back(std::move(delivery));
    queue_->tracked.erase(i);
  }
  return taken;
}

void Session::release_memory() {
  if (queued() == 0) queue_.reset();
  if (inbound_.empty()) inbound_ = {};
}

std::uint16_t Session::take_packet_id() {
  const Queue& all = *queue_;
  const auto after = [](std::uint16_t id) {
    return id == kMaxPacketId ? std::uint16_t{1} : static_cast<std::uint16_t>(id + 1);
  };
  // Ids in use only come from here, so what was free stays free until it is handed out. There are
  // always free ones: never more are under way than send_maximum, and no id is lost on the way.
  SLUICE_CHECK(all.under_way < kMaxPacketId);
  while (free_packet_ids_ == 0) {
    std::uint16_t free = kMaxPacketId;
    for (std::size_t i = 0; i < all.under_way; ++i) {
      const unsigned id = all.tracked[i].packet_id;
      const unsigned ahead =
          id >= next_packet_id_ ? id - next_packet_id_ : id + kMaxPacketId - next_packet_id_;
      free = std::min(free, static_cast<std::uint16_t>(ahead));
    }
    if (free == 0) next_packet_id_ = after(next_packet_id_);
    free_packet_ids_ = free;
  }
  --free_packet_ids_;
  return std::exchange(next_packet_id_, after(next_packet_id_));
}

bool Session::has_inbound(std::uint16_t packet_id) const {
  return std::ranges::find(inbound_, packet_id) != inbound_.end();
}

void Session::add_inbound(std::uint16_t packet_id) { inbound_.push_back(packet_id); }

bool Session::remove_inbound(std::uint16_t packet_id) {
  const auto found = std::ranges::find(inbound_, packet_id);
  if (found == inbound_.end()) return false;
  *found = inbound_.back();
  inbound_.pop_back();
  return true;
}

}  // namespace sluice::mqtt
