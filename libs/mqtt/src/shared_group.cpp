#include <sluice/mqtt/shared_group.h>

namespace sluice::mqtt {

void SharedGroup::place(std::size_t position, SubscriberId member) {
  members_[position] = member;
  positions_[member] = static_cast<std::uint32_t>(position);
}

bool SharedGroup::add(SubscriberId member) {
  if (!positions_.emplace(member, members_.size()).second) return false;
  members_.push_back(member);
  return true;
}

bool SharedGroup::remove(SubscriberId member) {
  const auto found = positions_.find(member);
  if (found == positions_.end()) return false;
  std::size_t hole = found->second;
  positions_.erase(found);
  // The hole is filled from its own half, then moved to the border between those who had their
  // turn and those who have not, where the last may fill it: nobody gains or loses a turn.
  if (hole < turn_) {
    --turn_;
    if (hole != turn_) place(hole, members_[turn_]);
    hole = turn_;
  }
  if (hole != members_.size() - 1) place(hole, members_.back());
  members_.pop_back();
  return true;
}

std::optional<SubscriberId> SharedGroup::choose_other_than(SubscriberId excluded,
                                                           const MemberStates& states) {
  const std::size_t count = members_.size();
  const std::size_t to_compare = policy_ == Policy::kLeastLoaded ? kCompared : 1;
  std::optional<std::size_t> online;
  std::optional<std::size_t> offline;
  std::uint32_t least = 0;
  std::size_t compared = 0;
  for (std::size_t step = 0; step < count && compared < to_compare; ++step) {
    const std::size_t position =
        turn_ + step < count ? turn_ + step : turn_ + step - count;  // a division less
    if (members_[position] == excluded) continue;
    const auto state = states.state_of(members_[position]);
    if (state.presence == MemberStates::Presence::kOffline && !offline) offline = position;
    if (state.presence != MemberStates::Presence::kOnline) continue;
    if (!online || state.unacknowledged < least) {
      online = position;
      least = state.unacknowledged;
    }
    ++compared;
  }
  const auto chosen = online ? online : offline;
  if (!chosen) return std::nullopt;
  turn_ = *chosen + 1;
  return members_[*chosen];
}

std::size_t SharedGroup::memory_bytes() const {
  // A node of the map: the pair, its link and hash; buckets are pointers.
  return members_.capacity() * sizeof(SubscriberId) + positions_.size() * 32 +
         positions_.bucket_count() * sizeof(void*);
}

}  // namespace sluice::mqtt
