#pragma once

#include <sluice/redis/client.h>

namespace sluice::front {

/// What must be decided and done at once in Redis of a mirror. KEYS: its values, log, state, and
/// what each tenant has, which share a slot. An error's first word is the setting whose bound is
/// reached.
struct MirrorScripts {
  MirrorScripts();

  redis::Script put;
  redis::Script remove;
  redis::Script follow;
  redis::Script count;
};

}  // namespace sluice::front
