#include "core/strangers.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

// A crowd has one part in so many of all places.
constexpr std::size_t kCrowdShare = 4;

}  // namespace

std::size_t Strangers::index_of(std::uint64_t group) {
  // Fibonacci hashing: neighbouring addresses go far apart.
  return static_cast<std::size_t>((group * 0x9E37'79B9'7F4A'7C15ULL) >> 32) % kCounts;
}

Strangers::Stranger* Strangers::add(Stranger stranger, MonoTime now) {
  ++counts_[index_of(stranger.group)];
  std::list<Stranger>& list = stranger.has_spoken ? speaking_ : silent_;
  list.push_back(std::move(stranger));
  Stranger& added = list.back();
  added.heard_at = now;
  added.place = std::prev(list.end());
  return &added;
}

void Strangers::heard(Stranger& stranger, MonoTime now) {
  stranger.heard_at = now;
  speaking_.splice(speaking_.end(), stranger.has_spoken ? speaking_ : silent_, stranger.place);
  stranger.has_spoken = true;
}

void Strangers::move_to(Stranger& stranger, std::string address, std::uint64_t group) {
  --counts_[index_of(stranger.group)];
  ++counts_[index_of(group)];
  stranger.address = std::move(address);
  stranger.group = group;
}

Strangers::Stranger Strangers::remove(Stranger& stranger) {
  --counts_[index_of(stranger.group)];
  const auto place = stranger.place;
  std::list<Stranger>& list = stranger.has_spoken ? speaking_ : silent_;
  Stranger removed = std::move(stranger);
  list.erase(place);
  return removed;
}

const Strangers::Stranger* Strangers::who_gives_way(std::uint64_t group, MonoTime now,
                                                    const QuietFor& quiet_for) {
  const auto largest = std::ranges::max_element(counts_);
  const auto crowd = static_cast<std::size_t>(largest - counts_.begin());
  if (*largest * kCrowdShare >= size() && *largest > 1 && index_of(group) != crowd) {
    const auto is_of_crowd = [&](const Stranger& one) { return index_of(one.group) == crowd; };
    for (const auto* list : {&silent_, &speaking_}) {
      const auto found = std::ranges::find_if(*list, is_of_crowd);
      if (found != list->end()) return &*found;
    }
  }
  const auto waits_for = [now](std::list<Stranger>& list, std::chrono::milliseconds limit) {
    return !list.empty() && now - list.front().heard_at >= limit ? &list.front() : nullptr;
  };
  if (const Stranger* const silent = waits_for(silent_, kFirstWord)) return silent;
  while (Stranger* const quiet = waits_for(speaking_, kPatience)) {
    if (quiet_for(*quiet) >= kPatience || SLUICE_PLANTED_BUG("front_overhears_half_records")) {
      return quiet;
    }
    heard(*quiet, now);
  }
  return nullptr;
}

}  // namespace sluice::front
