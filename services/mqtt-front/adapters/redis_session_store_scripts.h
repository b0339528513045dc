#pragma once

#include <sluice/redis/client.h>

namespace sluice::front {

/// What must be decided and done at once in Redis of one session: who owns it, and changes of it.
/// KEYS: its record, queue and will, and what was left of it when it ended; they share a slot.
/// Errors carry their meaning as first word: MISSING, FENCED, OWNED, GONE, or the setting whose
/// bound is reached.
struct SessionScripts {
  SessionScripts();

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
};

}  // namespace sluice::front
