#pragma once

#include "core/promql/evaluator.h"
#include "core/query/run.h"
#include "core/query/sample_source.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>

namespace sluice::tsdb::promql {

/// What is stored of one tenant as Prometheus' series: a metric's name, the labels `device`,
/// `fleet` and `device_type`, and the attributes that the device has now (see
/// label_of_attribute()). Booleans are 0 and 1; texts are not seen. One thread, one query.
class StoredSeriesSource final : public SeriesSource {
 public:
  StoredSeriesSource(SampleSource& source, const TenantId& tenant, const QueryLimits& limits,
                     const Clock& clock, const Deadline& deadline)
      : source_(source),
        tenant_(tenant),
        limits_(limits),
        clock_(clock),
        deadline_(deadline),
        memory_(limits.memory) {}

  Result<std::vector<StoredSeries>> select(const std::vector<Matcher>& matchers,
                                           const Selection& selection) override;

  /// The labels of the series that the matchers fit, without their values; no matchers: of all.
  Result<std::vector<LabelSet>> labels(const std::vector<Matcher>& matchers);

  /// The names of all labels, and the values of one that is an attribute's, without looking at
  /// devices; those that devices had before are among them.
  Result<std::set<std::string>> label_names();
  Result<std::vector<std::string>> attribute_label_values(std::string_view label);

  /// Names of the tiers that were read: "raw", "1m" and so on.
  const std::set<std::string>& tiers() const { return tiers_; }

 private:
  /// The series of one device: names in order, and the keys of their values.
  struct Found {
    StoredDevice device;
    std::vector<LabelSet> labels;
    SeriesOfMetric keys;
  };

  Result<std::vector<Found>> find(const std::vector<Matcher>& matchers);
  Result<std::vector<StoredDevice>> find_devices(const std::vector<Matcher>& matchers);
  Result<> narrow_by_attributes(const std::vector<Matcher>& matchers, DeviceFilter& filter);
  Result<std::vector<std::string>> attributes_with_label(std::string_view label);
  Result<> read(const Found& found, Tier tier, const Selection& selection,
                std::vector<StoredSeries>& out);

  SampleSource& source_;
  const TenantId& tenant_;
  const QueryLimits& limits_;
  const Clock& clock_;
  const Deadline& deadline_;
  std::size_t samples_ = 0;
  HeldMemory memory_;
  std::set<std::string> tiers_;
};

/// Which tier a selector reads: raw values where they are kept and a day is not exceeded; else the
/// coarsest roll-up that is not coarser than the steps, nor than half the range.
Tier tier_of(const Selection& selection, WallTime now, const TierRetention& retention);

}  // namespace sluice::tsdb::promql
