#include "adapters/front_store.h"

#include <array>
#include <cstddef>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/redis/client.h>

namespace sluice::front {

Result<> FrontStore::open(const Config& config, const std::string& address,
                          SessionStoreListener& listener, LoopPost post, const Parts& parts) {
  std::array<std::byte, 8> bytes;
  parts.random.fill(bytes);
  id_ = FrontId(to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  if (config.sessions.session_store == "redis") {
    SLUICE_TRY_ASSIGN(auto client, redis::Client::open(config.redis, parts.clock, parts.random,
                                                       parts.registry, parts.log));
    redis_ = std::make_unique<RedisSessionStore>(
        config.sessions, parts.clock, parts.registry, parts.log, std::move(client),
        RedisSessionStore::Identity{.front = id_, .address = address}, listener);
    return {};
  }
  memory_ = std::make_unique<MemorySessionStore>(config.sessions, parts.clock, parts.registry);
  memory_->add_front(id_, address, listener, std::move(post));
  return {};
}

std::unique_ptr<SessionStore> FrontStore::for_loop(LoopPost post) {
  return redis_ ? redis_->for_loop(std::move(post)) : memory_->for_loop(id_, std::move(post));
}

}  // namespace sluice::front
