// The subscription index against a list: any order of adding, removing and matching.

#include "choices.h"

#include <map>
#include <set>
#include <utility>

#include <sluice/base/random.h>
#include <sluice/mqtt/subscription_index.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {
namespace {

class FixedRandom final : public Random {
 public:
  std::uint64_t next() override { return 0x0123'4567'89AB'CDEF; }
};

using Model = std::map<std::pair<SubscriberId, std::string>, SubscriptionOptions>;
/// Subscriber and subscription id, or nobody and the group.
using Found = std::multiset<std::pair<SubscriberId, std::uint64_t>>;

Found expected(const SubscriptionIndex& index, const Model& model, const std::string& topic) {
  Found found;
  std::set<std::string> groups;
  for (const auto& [key, options] : model) {
    const auto shared = parse_shared(key.second);
    if (!matches(shared ? shared->filter : std::string_view(key.second), topic)) continue;
    if (!shared) {
      found.emplace(key.first, options.subscription_id);
    } else if (groups.insert(key.second).second) {
      const GroupId id = index.find_group(key.second);
      SLUICE_CHECK(id != kNoGroup);
      found.emplace(0, id);
    }
  }
  return found;
}

void check_matches(const SubscriptionIndex& index, const Model& model, const std::string& topic) {
  Found found;
  const std::size_t steps = index.match(topic, [&](const SubscriptionIndex::Match& match) {
    found.emplace(match.subscriber,
                  match.group != kNoGroup ? match.group : match.options.subscription_id);
  });
  SLUICE_CHECK(found == expected(index, model, topic));
  SLUICE_CHECK(steps <= 1 + 8 * model.size());  // filters here have six levels at most
}

}  // namespace
}  // namespace sluice::mqtt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::mqtt;
  sluice::fuzz::Choices choices(data, size);
  FixedRandom random;
  SubscriptionIndex index({.max_subscriptions = 64}, random);
  const std::size_t base = index.memory_bytes();
  Model model;
  std::uint32_t step = 0;
  while (!choices.at_end()) {
    const unsigned what = choices.byte();
    const SubscriberId subscriber = 1 + what / 8 % 4;
    if (what % 8 == 7) {
      check_matches(index, model, chosen_levels(choices, false));
      continue;
    }
    std::string filter = chosen_levels(choices, true);
    if (what >= 192) filter.insert(0, what % 2 == 0 ? "$share/g/" : "$share/a/");
    if (what % 8 >= 4) {
      SLUICE_CHECK(index.remove(subscriber, filter) == (model.erase({subscriber, filter}) == 1));
      continue;
    }
    const SubscriptionOptions options{.subscription_id = ++step};
    const bool is_known = model.contains({subscriber, filter});
    const auto added = index.add(subscriber, filter, options);
    if (added == SubscriptionIndex::Added::kFull) {
      SLUICE_CHECK(model.size() == 64 && !is_known);
      continue;
    }
    SLUICE_CHECK(added ==
                 (is_known ? SubscriptionIndex::Added::kReplaced : SubscriptionIndex::Added::kNew));
    model[{subscriber, filter}] = options;
  }
  SLUICE_CHECK(index.size() == model.size());
  for (const auto& [key, options] : model) {
    SLUICE_CHECK(index.find(key.first, key.second) == options);
    SLUICE_CHECK(index.remove(key.first, key.second));
  }
  SLUICE_CHECK(index.empty() && index.memory_bytes() == base);
  return 0;
}
