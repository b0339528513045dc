#pragma once

#include <string>

#include <sluice/redis/client.h>

namespace sluice::front {

/// Everything that must be decided and done at once in Redis. All keys of one script belong to one
/// session (or to one mirror) and share a slot. Errors carry their meaning as first word: MISSING,
/// FENCED, OWNED, GONE, or the setting whose bound is reached.
struct SessionScripts {
  SessionScripts();

  // Of a session; KEYS: its record, queue and will, and what was left of it when it ended.
  redis::Script claim;
  redis::Script release;
  redis::Script hold;
  redis::Script disown;
  redis::Script put_subscription;
  redis::Script remove_subscription;
  redis::Script put_delivery;
  redis::Script update_delivery;
  redis::Script remove_delivery;
  redis::Script put_inbound;
  redis::Script remove_inbound;
  redis::Script enqueue;
  redis::Script take_will;
  redis::Script take_ended;
  // Of a list of sessions by when they are to be looked at; KEYS: the list.
  redis::Script due;
  redis::Script move_due;
  // KEYS: the lock.
  redis::Script lock;
  // Of a mirror; KEYS: values, log, state.
  redis::Script mirror_put;
  redis::Script mirror_remove;
  redis::Script mirror_follow;
};

}  // namespace sluice::front
