#include <sluice/swarm/histogram.h>

#include <algorithm>
#include <cmath>

namespace sluice::swarm {

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds Histogram::quantile(double share) const {
  if (count_ == 0) return std::chrono::nanoseconds(0);
  const double wanted = std::ceil(share * static_cast<double>(count_));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while ((seen += buckets_[bucket]) < rank) ++bucket;
  if (bucket < kSubs) return std::chrono::nanoseconds(static_cast<std::int64_t>(bucket));
  const auto shift = static_cast<unsigned>(bucket / kSubs - 1);
  const std::uint64_t low = (bucket % kSubs + kSubs) << shift;
  const std::uint64_t middle = low + ((std::uint64_t{1} << shift) >> 1);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(middle, max_)));
}

}  // namespace sluice::swarm
