#include <algorithm>

#include <sluice/base/check.h>
#include <sluice/mqtt/subscription_index.h>

namespace sluice::mqtt {

// Subscribers are found by a table that is emptied by counting rounds: writing over it for each
// message would cost as much as the largest message ever had.

Matcher::Target& Matcher::target_of(SubscriberId subscriber) {
  if ((targets_.size() + 1) * 2 > slots_.size()) grow_slots();
  const std::size_t mask = slots_.size() - 1;
  // The golden ratio spreads ids that were counted up; the caller chooses them, no client does.
  std::size_t at = static_cast<std::size_t>(subscriber * 0x9E37'79B9'7F4A'7C15U >> 32) & mask;
  while (slots_[at].round == round_) {
    Target& known = targets_[slots_[at].target];
    if (known.subscriber == subscriber) return known;
    at = (at + 1) & mask;
  }
  slots_[at] = {.round = round_, .target = static_cast<std::uint32_t>(targets_.size())};
  targets_.push_back({.subscriber = subscriber});
  return targets_.back();
}

void Matcher::grow_slots() {
  slots_.assign(std::max<std::size_t>(64, slots_.size() * 2), Slot{});
  ++round_;
  const auto known = std::move(targets_);
  targets_ = {};
  targets_.reserve(slots_.size() / 2);
  for (const Target& target : known) target_of(target.subscriber) = target;
}

void Matcher::take(const SubscriptionIndex::Match& match) {
  Target& target = target_of(match.subscriber);
  target.qos = std::max(target.qos, match.options.qos);
  target.retain_as_published |= match.options.retain_as_published;
  if (match.options.subscription_id != 0) {
    found_.push_back({.target = static_cast<std::uint32_t>(&target - targets_.data()),
                      .subscription_id = match.options.subscription_id});
  }
}

Matcher::Result Matcher::match(SubscriptionIndex& index, std::string_view topic,
                               SubscriberId publisher, const MemberStates& states) {
  targets_.clear();
  found_.clear();
  groups_.clear();
  ++round_;
  Result result;
  result.steps = index.match(topic, [&](const SubscriptionIndex::Match& match) {
    if (match.group != kNoGroup) {
      groups_.push_back(match.group);
    } else if (!match.options.no_local || match.subscriber != publisher) {
      take(match);
    }
  });
  for (const GroupId id : groups_) {
    const auto member = index.group(id)->choose(states);
    if (!member) {
      ++result.groups_without_member;
      continue;
    }
    const auto options = index.member_options(id, *member);
    SLUICE_CHECK(options);
    if (options->subscription_id != 0) {
      found_.push_back({.target = static_cast<std::uint32_t>(targets_.size()),
                        .subscription_id = options->subscription_id});
    }
    targets_.push_back({.subscriber = *member,
                        .qos = options->qos,
                        .retain_as_published = options->retain_as_published,
                        .group = id});
  }
  lay_out_ids();
  result.targets = targets_;
  return result;
}

void Matcher::lay_out_ids() {
  if (found_.empty()) return;
  // Each target's ids side by side, in the order they were found.
  std::ranges::stable_sort(found_, {}, &Found::target);
  ids_.resize(found_.size());
  for (std::size_t first = 0; first < found_.size();) {
    std::size_t end = first;
    for (; end < found_.size() && found_[end].target == found_[first].target; ++end) {
      ids_[end] = found_[end].subscription_id;
    }
    targets_[found_[first].target].subscription_ids = std::span(ids_).subspan(first, end - first);
    first = end;
  }
}

std::size_t Matcher::memory_bytes() const {
  return targets_.capacity() * sizeof(Target) + found_.capacity() * sizeof(Found) +
         ids_.capacity() * sizeof(ids_[0]) + groups_.capacity() * sizeof(GroupId) +
         slots_.capacity() * sizeof(Slot);
}

}  // namespace sluice::mqtt
