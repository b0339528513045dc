#include "core/broker.h"
#include "core/client.h"

#include <utility>
#include <vector>

#include <sluice/base/planted_bug.h>

// QoS 2 publishes of the client that are half done, where the session outlives its connection.
//
// Its owner and the store must agree on their packet ids whenever the session is let go of. An id
// that the store lacks lets a later connection publish the message a second time; one that it has
// too many swallows the next message that gets the id. So while the store is away the session is
// kept, by a client that has ended and waits for its answers, and nobody claims it before both are
// settled: a later connection here waits behind this client, another front asks this one to let go
// (and does not take it for dead meanwhile, see FrontLease::may_judge_others()).
//
// Rejected: letting the session go, remembering the ids beside it and adding them to what the next
// claim returns. Between the two, another front may have completed an id and the client used it
// again, so that the message would be swallowed; only epochs of all claims since could tell.
//
// Nothing here needs a bound of its own: a session half done has at most max_inbound_qos2 ids, and
// while the store is away no more sessions are claimed than were when it went.
namespace sluice::front {
namespace {

// Whatever the store's reason: to let go of the session would lose or double a message. One that
// says "fenced" has answered.
bool may_be_tried_again(const Result<>& done) { return !done && done.error().reason() != "fenced"; }

}  // namespace

void Client::keep_unsaved(std::uint16_t packet_id) {
  rare().unsaved_ids.push_back(packet_id);
  broker_.ports_.metrics.unsaved_packet_ids.add(1);
}

// Once the connection is over, and not before: until then the client may complete an id, and a
// write that was tried again could come after its removal.
void Client::save_unsaved() {
  if (!rare_) return;
  for (const std::uint16_t packet_id : std::exchange(rare_->unsaved_ids, {})) {
    if (!outlives_connection() || SLUICE_PLANTED_BUG("front_forgets_unsaved_ids")) {
      broker_.ports_.metrics.unsaved_packet_ids.add(-1);
      continue;
    }
    ++in_flight_, ++qos2_in_flight_;
    save_inbound(packet_id);
  }
}

void Client::save_inbound(std::uint16_t packet_id) {
  broker_.ports_.store.put_inbound(
      key_, epoch_, packet_id, [this, packet_id](const Result<>& done) {
        if (may_be_tried_again(done)) {
          broker_.refuse_waiting(key_);
          return broker_.do_later([this, packet_id] { save_inbound(packet_id); });
        }
        // Saved; or the session has a later owner, and it is too late to tell that one.
        --qos2_in_flight_;
        broker_.ports_.metrics.unsaved_packet_ids.add(-1);
        broker_.came_back(*this, done);
        broker_.settle(*this);
      });
}

void Client::on_publish_released(std::uint16_t packet_id) {
  if (!broker_.ports_.store.is_durable() || !outlives_connection()) {
    return connection_.release_done(packet_id, output_);
  }
  if (rare_ && std::erase(rare_->unsaved_ids, packet_id) > 0) {
    broker_.ports_.metrics.unsaved_packet_ids.add(-1);
  }
  ++in_flight_, ++qos2_in_flight_;
  forget_inbound(packet_id);
  if (SLUICE_PLANTED_BUG("front_completes_unforgotten")) {
    connection_.release_done(packet_id, output_);
  }
}

// The client is told, and may use the id again, only once the store has forgotten it.
void Client::forget_inbound(std::uint16_t packet_id) {
  broker_.ports_.store.remove_inbound(
      key_, epoch_, packet_id, [this, packet_id](const Result<>& done) {
        if (may_be_tried_again(done)) {
          broker_.refuse_waiting(key_);
          return broker_.do_later([this, packet_id] { forget_inbound(packet_id); });
        }
        --qos2_in_flight_;
        if (broker_.came_back(*this, done) && done && link_ != nullptr && !has_ended_) {
          connection_.release_done(packet_id, output_);
          link_->send_soon();
        }
        broker_.settle(*this);
      });
}

}  // namespace sluice::front
