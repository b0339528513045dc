#pragma once

#include <sluice/redis/client.h>

namespace sluice::front {

/// What SessionSweeper decides and does at once in Redis.
struct SweeperScripts {
  SweeperScripts();

  // Of a session; KEYS: as of SessionScripts.
  redis::Script take_will;
  redis::Script take_ended;
  // Of a list of sessions by when they are to be looked at; KEYS: the list.
  redis::Script due;
  redis::Script move_due;
  // KEYS: the lock.
  redis::Script lock;
};

}  // namespace sluice::front
