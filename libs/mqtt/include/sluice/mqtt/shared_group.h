#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sluice::mqtt {

/// Whoever subscribes, as the caller counts them; 0 is nobody.
using SubscriberId = std::uint64_t;

/// How a member of a share group is doing, asked for while one is chosen.
class MemberStates {
 public:
  enum class Presence : std::uint8_t {
    kOnline,
    kOffline,  // its session lives on and can keep the message
    kNever,    // must not be chosen: its queue is full, or its session is about to end
  };
  struct State {
    Presence presence = Presence::kOnline;
    std::uint32_t unacknowledged = 0;  // messages under way to it; for kLeastLoaded alone
  };

  virtual ~MemberStates() = default;
  virtual State state_of(SubscriberId member) const = 0;
};

/// The members of one shared subscription, and whose turn it is: each message goes to one of them,
/// [MQTT5-4.8.2]. Members that are online come first; one that is offline is chosen only while
/// nobody is online. The same calls give the same choices. Single-threaded.
///
/// Which messages may go to another member when one goes away is the caller's to know: those that
/// were never sent, and QoS 1 that was not acknowledged. A QoS 2 message that was sent belongs to
/// its member for good, even if its session ends, [MQTT5-4.8.2-4] and [MQTT5-4.8.2-5].
class SharedGroup {
 public:
  enum class Policy : std::uint8_t {
    kRoundRobin,   // in turn
    kLeastLoaded,  // of the next few in turn the one with the fewest messages under way
  };

  /// How many members kLeastLoaded compares: enough to pass by a slow one, and no bound on how
  /// large a group may grow.
  static constexpr std::size_t kCompared = 8;

  explicit SharedGroup(Policy policy = Policy::kRoundRobin) : policy_(policy) {}

  /// False: it is a member already.
  bool add(SubscriberId member);
  /// False: it is none. Whose turn it is stays as it was for all others.
  bool remove(SubscriberId member);
  bool contains(SubscriberId member) const { return positions_.contains(member); }
  std::size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  /// In no order that means anything.
  const std::vector<SubscriberId>& members() const { return members_; }

  /// Who gets the next message; nullopt: nobody can. Constant time while members are online; a
  /// group whose members are mostly offline is searched once around.
  std::optional<SubscriberId> choose(const MemberStates& states) {
    return choose_other_than(0, states);
  }

  /// Who gets a message instead of `member`, which may have left already: as choose(), but never
  /// `member`. Its messages spread over the group if this is asked for each of them.
  std::optional<SubscriberId> next_after(SubscriberId member, const MemberStates& states) {
    return choose_other_than(member, states);
  }

  std::size_t memory_bytes() const;

 private:
  std::optional<SubscriberId> choose_other_than(SubscriberId excluded, const MemberStates& states);
  void place(std::size_t position, SubscriberId member);

  Policy policy_;
  // Those before turn_ had their turn in this round, the others have it to come.
  std::vector<SubscriberId> members_{};
  std::unordered_map<SubscriberId, std::uint32_t> positions_{};
  std::size_t turn_ = 0;
};

}  // namespace sluice::mqtt
