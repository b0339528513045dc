#pragma once

#include "ports.h"

#include <cstdint>

#include <sluice/base/clock.h>
#include <sluice/log/logger.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// The tables `devices` and `metrics`. One owner thread.
///
/// In transactions of its own and not in the flush's: a chunk needs the keys before it can be made,
/// keys that nobody uses yet do no harm, and a flush that held new dictionary rows locked would
/// make every other writer of the same class wait for it.
class PostgresDictionary final : public DictionaryStore {
 public:
  struct Options {
    std::int64_t max_metrics_per_class = 500;
  };

  PostgresDictionary(const Options& options, postgres::Pool& pool, const Clock& clock,
                     const Logger& log)
      : options_(options), pool_(pool), clock_(clock), log_(log) {}

  Result<Keys> resolve(std::span<const DeviceIdentity> devices,
                       std::span<const MetricIdentity> metrics) override;

 private:
  void tell_of_refused(const MetricIdentity& metric);

  const Options options_;
  postgres::Pool& pool_;
  const Clock& clock_;
  const Logger& log_;
  MonoTime tell_again_at_{};
};

}  // namespace sluice::tsdb
