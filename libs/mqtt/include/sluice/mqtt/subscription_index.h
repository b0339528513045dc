#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/protocol.h>
#include <sluice/mqtt/shared_group.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

/// What a subscriber asked for with one filter.
struct SubscriptionOptions {
  Qos qos = Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;
  std::uint32_t subscription_id = 0;  // 0: none

  bool operator==(const SubscriptionOptions&) const = default;
};

/// Names a share group of an index as long as it has members; never reused, so that it can be kept
/// with a message on its way.
using GroupId = std::uint64_t;
inline constexpr GroupId kNoGroup = 0;

/// Which subscribers a message to a topic goes to. Single-threaded.
///
/// Filters are a trie of levels. match() costs one step for each stored beginning of a filter that
/// matches the same number of levels of the topic, plus one for each subscription found: what does
/// not begin like the topic costs nothing, however much of it there is. At worst that is the number
/// of stored nodes, and at most 2^levels of them, whichever is less; it takes as many filters of
/// `+` and literal levels mixed as there are steps, so a limit on subscriptions limits the time.
/// Memory of what was removed is used again, and given back when the index becomes empty.
class SubscriptionIndex {
 public:
  struct Limits {
    std::size_t max_subscriptions = 10'000'000;  // 150 to 300 bytes each where filters differ
    SharedGroup::Policy group_policy = SharedGroup::Policy::kRoundRobin;
    TopicLimits topics{};
  };
  /// `random` is asked now for the key of the hashes, without which a client could choose names
  /// that collide; it may end afterwards.
  SubscriptionIndex(const Limits& limits, Random& random);
  ~SubscriptionIndex();
  SubscriptionIndex(SubscriptionIndex&&) noexcept;
  SubscriptionIndex& operator=(SubscriptionIndex&&) noexcept;

  enum class Added : std::uint8_t {
    kNew,
    kReplaced,  // the same subscriber and filter were there: the options are the new ones now
    kInvalid,   // not a filter, see is_valid_filter() and parse_shared()
    kFull,
  };
  /// `filter` as the client says it; `$share/{group}/...` makes it a member of that group.
  Added add(SubscriberId subscriber, std::string_view filter, const SubscriptionOptions& options);
  /// Whether it was there.
  bool remove(SubscriberId subscriber, std::string_view filter);
  /// Removes a subscriber that goes, all of whose filters the caller knows; how many were there.
  std::size_t remove_all(SubscriberId subscriber, std::span<const std::string> filters);
  std::optional<SubscriptionOptions> find(SubscriberId subscriber, std::string_view filter) const;

  /// One subscription that matches; a share group comes once, with no subscriber.
  struct Match {
    SubscriberId subscriber = 0;
    SubscriptionOptions options{};
    GroupId group = kNoGroup;
  };
  /// Calls `visit(const Match&)` for each, in no order; a subscriber several of whose filters match
  /// comes several times (see Matcher). Allocates nothing. What is no valid topic matches nothing.
  /// Nothing may be added or removed from within. Returns the steps it took, for a metric.
  template <typename Visit>
  std::size_t match(std::string_view topic, Visit visit) const {
    return match_with(
        topic, [](void* context, const Match& match) { (*static_cast<Visit*>(context))(match); },
        &visit);
  }

  /// nullptr: the last member has left.
  SharedGroup* group(GroupId id);
  /// What a member of a group asked for; nullopt when it is none.
  std::optional<SubscriptionOptions> member_options(GroupId id, SubscriberId member) const;
  /// The group of `$share/{group}/{filter}`; kNoGroup when it has no members.
  GroupId find_group(std::string_view shared_filter) const;

  std::size_t size() const;  // subscriptions, members of groups included
  bool empty() const { return size() == 0; }
  std::size_t groups() const;
  /// What the index holds of the heap.
  std::size_t memory_bytes() const;

 private:
  using Call = void (*)(void* context, const Match& match);
  std::size_t match_with(std::string_view topic, Call call, void* context) const;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Makes of the matches of one message what is to be delivered: one delivery for each subscriber,
/// however many of its filters match, [MQTT5-3.3.4-2], and one for each share group. Keeps its
/// memory for the next message. Single-threaded; one serves any number of indexes.
class Matcher {
 public:
  struct Target {
    SubscriberId subscriber = 0;
    Qos qos = Qos::kAtMostOnce;        // the highest of its matching subscriptions, [MQTT5-3.3.4-2]
    bool retain_as_published = false;  // whether any of them asks for it
    GroupId group = kNoGroup;          // for which group it was chosen: shared and own
                                       // subscriptions of one subscriber are delivered apart
    std::span<const std::uint32_t> subscription_ids{};  // of all of them, [MQTT5-3.3.4-3]
  };
  struct Result {
    std::span<const Target> targets{};      // valid until the next match()
    std::size_t groups_without_member = 0;  // groups of which nobody could be chosen
    std::size_t steps = 0;
  };

  /// `publisher` does not get its own message by subscriptions with No Local; 0: nobody.
  Result match(SubscriptionIndex& index, std::string_view topic, SubscriberId publisher,
               const MemberStates& states);

  std::size_t memory_bytes() const;

 private:
  struct Found {
    std::uint32_t target;
    std::uint32_t subscription_id;
  };
  struct Slot {
    std::uint64_t round;
    std::uint32_t target;
  };
  void take(const SubscriptionIndex::Match& match);
  Target& target_of(SubscriberId subscriber);
  void grow_slots();
  void lay_out_ids();

  std::vector<Target> targets_{};
  std::vector<Found> found_{};
  std::vector<std::uint32_t> ids_{};
  std::vector<GroupId> groups_{};
  std::vector<Slot> slots_{};  // subscriber -> target, of this round
  std::uint64_t round_ = 0;
};

}  // namespace sluice::mqtt
