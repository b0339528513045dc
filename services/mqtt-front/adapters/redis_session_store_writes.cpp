#include "adapters/redis_session_store_engine.h"
#include "adapters/stored_subscription.h"

#include <utility>

// Changes of sessions that a front owns, and messages for those that nobody does.
namespace sluice::front {
namespace {

using redis::Reply;

}  // namespace

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
    if (call->done) call->done(read_write(std::move(reply)));
  });
}

// Where something was appended to a queue the answer has two parts, see lua::kQueue.
Result<> RedisSessionStore::Engine::read_write(Result<Reply> reply) {
  if (!reply) return fail(to_port_error(std::move(reply).error()));
  const auto& items = reply->items();
  if (items.size() != 2) return {};
  metrics_.dropped_expired.add(static_cast<std::uint64_t>(items[0].integer()));
  const std::string& bound = items[1].text();
  if (bound.empty()) return {};
  return fail(to_port_error(
      Error(ErrorCode::kResourceExhausted, bound + " is reached").with_reason(bound)));
}

void RedisSessionStore::Engine::on_write_missing(const std::shared_ptr<WriteCall>& call) {
  const auto finish = [this, call](Result<Reply> reply) {
    if (!reply && (reply.error().reason() == "MISSING" || reply.error().reason() == "FENCED")) {
      on_fenced(call->key, call->epoch);
    }
    if (call->done) call->done(read_write(std::move(reply)));
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
  const auto record = SessionRecord::parse(bytes);
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
  fronts_.find(std::string(record->owner), [this, key, place = std::move(place),
                                            done = std::move(done)](
                                               Result<std::optional<std::string>> address) mutable {
    if (!address) return done(fail(to_port_error(std::move(address).error())));
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
                       [this, key, is_shared = delivery.share != nullptr,
                        done = std::move(done)](Result<Reply> reply) mutable {
                         Result<> queued = read_write(std::move(reply));
                         if (queued && is_shared) return list_ended(key, std::move(done));
                         done(std::move(queued));
                       });
}

void RedisSessionStore::Engine::put_delivery(const SessionKey& key, Epoch epoch,
                                             const mqtt::Delivery& delivery, Done<void> done) {
  // Listed once, since a session stays listed as long as somebody owns it.
  if (delivery.share && !is_listed(key)) {
    done = [this, key, done = std::move(done)](Result<> result) mutable {
      if (!result) return done(std::move(result));
      list_ended(key, [this, key, done = std::move(done)](Result<> listed) mutable {
        if (listed) set_listed(key);
        done(std::move(listed));
      });
    };
  }
  write(scripts_.put_delivery, key, epoch,
        {std::to_string(delivery.sequence), encode_delivery(delivery, now()),
         std::to_string(config_.max_queued), std::to_string(config_.max_queued_bytes.count)},
        std::move(done));
}

}  // namespace sluice::front
