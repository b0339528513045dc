#include "adapters/redis_session_store_engine.h"
#include "adapters/stored_subscription.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <utility>

#include <sluice/base/crash_point.h>
#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

using redis::Reply;

// Owners that die one after another while a session is claimed; more is a fault.
constexpr int kMaxClaimAttempts = 4;

std::uint64_t to_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

struct RedisSessionStore::Engine::ClaimCall {
  SessionKey key{};
  SessionStore::ClaimRequest request{};
  Done<SessionStore::ClaimOutcome> done{};
  std::string will{};
  std::string dead_owner{};
  Epoch dead_epoch{};
  int attempts = 0;
  std::atomic<int> answers_left = 0;
  Result<Reply> listed = Reply::nil();  // of the will; nothing to list: nil
  Result<Reply> answer = Reply::nil();
};

void RedisSessionStore::Engine::claim(const SessionKey& key, SessionStore::ClaimRequest request,
                                      Done<SessionStore::ClaimOutcome> done) {
  if (!lease_is_valid(clock_.mono())) {
    // Others would take the session for a dead front's at once.
    metrics_.claims_failed.add();
    return done(
        fail(Error(ErrorCode::kUnavailable, "this front has no lease").with_reason("lease")));
  }
  auto call = std::make_shared<ClaimCall>();
  call->key = key;
  call->request = std::move(request);
  call->done = std::move(done);
  if (call->request.will) call->will = encode_will(*call->request.will, now());
  if (call->request.not_held_by) {
    // With the epoch, as of a dead one: what it claimed since is its own.
    call->dead_owner = call->request.not_held_by->owner.value();
    call->dead_epoch = call->request.not_held_by->epoch;
  }
  forget_unreleased(key);
  send_claim(call);
}

void RedisSessionStore::Engine::send_claim(const std::shared_ptr<ClaimCall>& call) {
  const auto& request = call->request;
  ++call->attempts;
  call->answers_left.store(call->will.empty() ? 1 : 2);
  if (!call->will.empty()) {
    // Beside the claim, in another slot: whoever looks after this front's death finds the will.
    const std::string list = keys_.front_wills(identity_.front.value());
    client_.send(redis::Command::on_key(list, {"SADD", list, call->key.value()}),
                 [this, call](Result<Reply> reply) {
                   call->listed = std::move(reply);
                   if (call->answers_left.fetch_sub(1) == 1) on_claim_answer(call);
                 });
  }
  scripts_.claim.run(
      client_, keys_.session(call->key),
      {identity_.front.value(), request.clean_start ? "1" : "0",
       std::to_string(request.expiry_seconds), call->will,
       std::to_string(request.will ? request.will->delay.count() : 0), call->dead_owner,
       std::to_string(call->dead_epoch.value()), std::to_string(kOwnedSlack.count())},
      [this, call](Result<Reply> reply) {
        call->answer = std::move(reply);
        if (call->answers_left.fetch_sub(1) == 1) on_claim_answer(call);
      });
}

void RedisSessionStore::Engine::on_claim_answer(const std::shared_ptr<ClaimCall>& call) {
  if (!call->answer || !call->listed) {
    metrics_.claims_failed.add();
    // It may have been made: then this front must not be called the owner of what it does not hold.
    if (call->answer || call->answer.error().reason() == "outcome_unknown") {
      keep_unreleased(call->key, std::make_shared<LetGo>(LetGo{.had_will = !call->will.empty()}));
    }
    Error why = !call->answer ? call->answer.error() : call->listed.error();
    return call->done(fail(to_port_error(std::move(why))));
  }
  const auto& items = call->answer->items();
  if (items.size() == 3) {
    return on_claimed_by_other(
        call, {.owner = FrontId(items[1].text()), .epoch = Epoch(to_number(items[2].text()))});
  }
  if (items.size() != 9) {
    metrics_.damaged.add();
    return call->done(fail(ErrorCode::kDataLoss, "a claim's answer cannot be read"));
  }
  SessionStore::ClaimOutcome outcome;
  outcome.claim = read_claim(items);
  remember(call->key, {.epoch = outcome.claim.epoch,
                       .expiry_seconds = call->request.expiry_seconds,
                       .has_will = !call->will.empty()});
  // Found by the sweeper in any case, but at the time that the last session was to end.
  if (items[8].integer() > 0) list_ended(call->key, [](Result<>) {});
  if (!items[6].text().empty()) {
    if (auto will = call_with_will(call->key, items[6].text())) calls_.push(*std::move(will));
  }
  if (items[7].integer() == 1) metrics_.claims_taken_over.add();
  (outcome.claim.session_present ? metrics_.claims_resumed : metrics_.claims_new).add();
  SLUICE_CRASH_POINT("session_store_after_claim");
  call->done(std::move(outcome));
}

void RedisSessionStore::Engine::on_claimed_by_other(const std::shared_ptr<ClaimCall>& call,
                                                    SessionStore::Owned owned) {
  const std::string front = owned.owner.value();
  fronts_.find(front, [this, call, owned = std::move(owned)](
                          Result<std::optional<std::string>> address) mutable {
    if (!address) {
      metrics_.claims_failed.add();
      return call->done(fail(to_port_error(std::move(address).error())));
    }
    if (*address && !SLUICE_PLANTED_BUG("front_takes_over_unasked")) {
      metrics_.claims_owned.add();
      owned.address = **std::move(address);
      return call->done(SessionStore::ClaimOutcome{.owned_by_other = std::move(owned)});
    }
    if (call->attempts >= kMaxClaimAttempts) {
      metrics_.claims_failed.add();
      return call->done(fail(ErrorCode::kUnavailable, "the session's owners die too often"));
    }
    // With the epoch, so that nothing is taken that a front claimed after its death was seen.
    call->dead_owner = owned.owner.value();
    call->dead_epoch = owned.epoch;
    send_claim(call);
  });
}

SessionStore::Claim RedisSessionStore::Engine::read_claim(const std::vector<Reply>& items) {
  SessionStore::Claim claim;
  claim.epoch = Epoch(to_number(items[1].text()));
  claim.session_present = items[2].integer() == 1;
  claim.session.next_sequence = to_number(items[3].text());
  if (auto subscriptions = decode_subscriptions(items[4].text())) {
    claim.session.subscriptions = *std::move(subscriptions);
  } else {
    metrics_.damaged.add();
  }
  read_queue(items[5].items(), claim.session);
  return claim;
}

void RedisSessionStore::Engine::read_queue(const std::vector<Reply>& queue,
                                           StoredSession& session) {
  const Moment at = now();
  std::vector<std::pair<std::uint64_t, std::string_view>> progress;
  for (std::size_t i = 0; i + 1 < queue.size(); i += 2) {
    const std::string& field = queue[i].text();
    if (field.empty()) continue;
    const std::uint64_t number = to_number(std::string_view(field).substr(1));
    if (field[0] == 'd') {
      if (auto delivery = decode_delivery(queue[i + 1].text(), number, at)) {
        session.deliveries.push_back(*std::move(delivery));
      } else {
        metrics_.damaged.add();
      }
    } else if (field[0] == 's') {
      progress.emplace_back(number, queue[i + 1].text());
    } else if (field[0] == 'i') {
      session.inbound_qos2.push_back(static_cast<std::uint16_t>(number));
    }
  }
  // By sequence: packet ids wrap around and say nothing about order.
  const auto by_sequence = [](const mqtt::Delivery& delivery) { return delivery.sequence; };
  std::ranges::sort(session.deliveries, {}, by_sequence);
  std::ranges::sort(session.inbound_qos2);
  for (const auto& [sequence, record] : progress) {
    auto at_sequence = std::ranges::lower_bound(session.deliveries, sequence, {}, by_sequence);
    if (at_sequence == session.deliveries.end() || at_sequence->sequence != sequence) {
      // Released: its message is gone, its handshake is not.
      at_sequence = session.deliveries.insert(at_sequence, mqtt::Delivery{.sequence = sequence});
    }
    if (!apply_progress(record, *at_sequence)) metrics_.damaged.add();
  }
}

}  // namespace sluice::front
