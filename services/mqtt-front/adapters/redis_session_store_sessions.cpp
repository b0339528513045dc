#include "adapters/redis_session_store_engine.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <utility>

#include <sluice/base/crash_point.h>

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

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    number = number << 8 | static_cast<std::uint8_t>(bytes[i - 1]);
  }
  return number;
}

/// A session's record as the scripts write it: "<BBI8I8I4Bc0" and the subscriptions.
struct Record {
  bool is_incomplete = false;
  Epoch epoch{};
  std::string_view owner{};
  std::string_view subscriptions{};

  static std::optional<Record> parse(std::string_view bytes) {
    constexpr std::size_t kHeaderSize = 23;
    if (bytes.size() < kHeaderSize) return std::nullopt;
    const auto owner_size = static_cast<std::uint8_t>(bytes[kHeaderSize - 1]);
    if (bytes.size() < kHeaderSize + owner_size) return std::nullopt;
    Record record;
    record.is_incomplete = (bytes[1] & 1) != 0;
    record.epoch = Epoch(little_endian(bytes.substr(2, 8)));
    record.owner = bytes.substr(kHeaderSize, owner_size);
    record.subscriptions = bytes.substr(kHeaderSize + owner_size);
    return record;
  }
};

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
  if (call->request.will) call->will = encode_message(call->request.will->message, now());
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
    Error why = !call->answer ? call->answer.error() : call->listed.error();
    return call->done(fail(to_port_error(std::move(why))));
  }
  const auto& items = call->answer->items();
  if (items.size() == 3) {
    return on_claimed_by_other(
        call, {.owner = FrontId(items[1].text()), .epoch = Epoch(to_number(items[2].text()))});
  }
  if (items.size() != 8) {
    metrics_.damaged.add();
    return call->done(fail(ErrorCode::kDataLoss, "a claim's answer cannot be read"));
  }
  SessionStore::ClaimOutcome outcome;
  outcome.claim = read_claim(items);
  remember(call->key, {.epoch = outcome.claim.epoch,
                       .expiry_seconds = call->request.expiry_seconds,
                       .has_will = !call->will.empty()});
  if (!items[6].text().empty()) hand_out_will(call->key, items[6].text());
  if (items[7].integer() == 1) metrics_.claims_taken_over.add();
  (outcome.claim.session_present ? metrics_.claims_resumed : metrics_.claims_new).add();
  SLUICE_CRASH_POINT("session_store_after_claim");
  call->done(std::move(outcome));
}

void RedisSessionStore::Engine::on_claimed_by_other(const std::shared_ptr<ClaimCall>& call,
                                                    SessionStore::Owned owned) {
  const std::string front = owned.owner.value();
  find_front(front, [this, call,
                     owned = std::move(owned)](Result<std::optional<std::string>> address) mutable {
    if (!address) {
      metrics_.claims_failed.add();
      return call->done(fail(std::move(address).error()));
    }
    if (*address) {
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

void RedisSessionStore::Engine::release(const SessionKey& key, Epoch epoch,
                                        SessionStore::Release release, Done<void> done) {
  const auto held = forget(key, epoch);
  const bool had_will = held && held->has_will;
  std::string will;
  if (release.will) will = encode_message(release.will->message, now());
  scripts_.release.run(
      client_, keys_.session(key),
      {std::to_string(epoch.value()), identity_.front.value(),
       std::to_string(release.expiry_seconds), std::move(will),
       std::to_string(release.will ? release.will->delay.count() : 0)},
      [this, key, had_will, done = std::move(done)](Result<Reply> reply) mutable {
        if (!reply) {
          if (reply.error().reason() == "FENCED") metrics_.fenced.add();
          return done(fail(to_port_error(std::move(reply).error())));
        }
        const std::string front_wills = keys_.front_wills(identity_.front.value());
        const auto unlist = [this, key, had_will, front_wills] {
          if (!had_will) return;
          client_.send(redis::Command::on_key(front_wills, {"SREM", front_wills, key.value()}),
                       [](const Result<Reply>&) {});
        };
        if (reply->text() == "0") {
          unlist();
          return done({});
        }
        // Listed as due before it is taken off this front's list: it is always found by one.
        const std::string due = keys_.due_wills();
        client_.send(redis::Command::on_key(due, {"ZADD", due, reply->text(), key.value()}),
                     [this, unlist, done = std::move(done)](Result<Reply> listed) mutable {
                       if (!listed) return done(fail(to_port_error(std::move(listed).error())));
                       unlist();
                       done({});
                     });
      });
}

struct RedisSessionStore::Engine::WriteCall {
  const redis::Script& script;
  SessionKey key{};
  Epoch epoch{};
  std::vector<std::string> arguments{};
  Done<void> done{};  // may be empty
};

void RedisSessionStore::Engine::write(const redis::Script& script, const SessionKey& key,
                                      Epoch epoch, std::vector<std::string> arguments,
                                      Done<void> done) {
  arguments.insert(arguments.begin(), std::to_string(epoch.value()));
  auto call = std::make_shared<WriteCall>(WriteCall{.script = script,
                                                    .key = key,
                                                    .epoch = epoch,
                                                    .arguments = std::move(arguments),
                                                    .done = std::move(done)});
  script.run(client_, keys_.session(key), call->arguments, [this, call](Result<Reply> reply) {
    if (!reply && reply.error().reason() == "MISSING") return on_write_missing(call);
    if (!reply && reply.error().reason() == "FENCED") on_fenced(call->key, call->epoch);
    if (!call->done) return;
    if (!reply) return call->done(fail(to_port_error(std::move(reply).error())));
    call->done({});
  });
}

void RedisSessionStore::Engine::on_write_missing(const std::shared_ptr<WriteCall>& call) {
  const auto finish = [this, call](Result<Reply> reply) {
    if (!reply && (reply.error().reason() == "MISSING" || reply.error().reason() == "FENCED")) {
      on_fenced(call->key, call->epoch);
    }
    if (!call->done) return;
    if (!reply) return call->done(fail(to_port_error(std::move(reply).error())));
    call->done({});
  };
  const std::lock_guard lock(held_mutex_);
  const auto held = held_.find(call->key);
  if (held == held_.end() || held->second.epoch != call->epoch) {
    // Not this front's any more; and under the lock, so not by way of on_fenced().
    if (call->done)
      call->done(fail(to_port_error(Error(ErrorCode::kAborted, "").with_reason("MISSING"))));
    return;
  }
  // Redis lost it. It is put back as incomplete, so that it ends with its connection.
  run_hold(call->key, held->second, [](const Result<Reply>&) {});
  call->script.run(client_, keys_.session(call->key), call->arguments, finish);
}

void RedisSessionStore::Engine::locate(const SessionKey& key, Done<SessionStore::Place> done) {
  const std::string record = keys_.session(key).front();
  client_.send(redis::Command::on_key(record, {"GET", record}),
               [this, key, done = std::move(done)](Result<Reply> reply) mutable {
                 if (!reply) return done(fail(to_port_error(std::move(reply).error())));
                 if (reply->is_nil()) return done(SessionStore::Place());
                 on_located(key, reply->text(), std::move(done));
               });
}

void RedisSessionStore::Engine::on_located(const SessionKey& key, const std::string& bytes,
                                           Done<SessionStore::Place> done) {
  const auto record = Record::parse(bytes);
  if (!record) {
    metrics_.damaged.add();
    return done(fail(ErrorCode::kDataLoss, "a stored session cannot be read"));
  }
  SessionStore::Place place;
  place.exists = true;
  if (record->owner.empty()) {
    auto subscriptions = decode_subscriptions(record->subscriptions);
    if (!subscriptions) return done(fail(std::move(subscriptions).error()));
    place.subscriptions = *std::move(subscriptions);
    return done(std::move(place));
  }
  place.owner =
      SessionStore::Owned{.owner = FrontId(std::string(record->owner)), .epoch = record->epoch};
  if (place.owner->owner == identity_.front) {
    place.owner->address = identity_.address;
    return done(std::move(place));
  }
  find_front(std::string(record->owner), [this, key, place = std::move(place),
                                          done = std::move(done)](
                                             Result<std::optional<std::string>> address) mutable {
    if (!address) return done(fail(std::move(address).error()));
    if (*address) {
      place.owner->address = **std::move(address);
      return done(std::move(place));
    }
    // Nobody is there: what comes for it goes to its queue, as for any session.
    scripts_.disown.run(client_, keys_.session(key),
                        {std::to_string(place.owner->epoch.value()), place.owner->owner.value()},
                        [this, key, done = std::move(done)](Result<Reply> reply) mutable {
                          if (!reply) {
                            return done(fail(to_port_error(std::move(reply).error())));
                          }
                          locate(key, std::move(done));
                        });
  });
}

void RedisSessionStore::Engine::enqueue(const SessionKey& key, const mqtt::Delivery& delivery,
                                        Done<void> done) {
  scripts_.enqueue.run(client_, keys_.session(key),
                       {encode_delivery(delivery, now()), std::to_string(config_.max_queued),
                        std::to_string(config_.max_queued_bytes.count)},
                       [this, done = std::move(done)](Result<Reply> reply) mutable {
                         if (!reply) return done(fail(to_port_error(std::move(reply).error())));
                         done({});
                       });
}

}  // namespace sluice::front
