#pragma once

#include "adapters/front_loop.h"
#include "adapters/front_loops.h"
#include "core/retained_messages.h"
#include "core/routes.h"
#include "ports.h"

#include <string_view>
#include <vector>

#include <sluice/log/logger.h>

namespace sluice::front {

/// Carries what other fronts did, as the session store hears of it, to the tables of all loops and
/// to the loop that it concerns. Called by one thread of the store; what it refers to must outlive
/// the store.
class StoreEvents final : public SessionStoreListener {
 public:
  StoreEvents(Routes& routes, RetainedMessages& retained, std::vector<FrontLoop*> loops,
              const Logger& log);

  void on_wide_put(const SessionStore::WideSubscription& wide) override;
  void on_wide_removed(const SessionKey& key, std::string_view filter,
                       std::string_view group) override;
  void on_retained_put(const mqtt::MessagePtr& message) override;
  void on_retained_removed(std::string_view stored) override;
  void on_fenced(const SessionKey& key, Epoch epoch) override;
  void on_will_due(const SessionKey& key, StoredWill will) override;
  void on_session_ended(const SessionKey& key, std::vector<mqtt::Delivery> shared) override;
  void on_lease(bool is_valid, bool sessions_lost) override;

 private:
  Routes& routes_;
  RetainedMessages& retained_;
  const std::vector<FrontLoop*> all_loops_;
  const FrontLoops loops_;
  const Logger& log_;
};

}  // namespace sluice::front
