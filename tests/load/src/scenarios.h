#pragma once

#include "options.h"
#include "report.h"

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::load {

/// Clients publish: how long answers take and what the server spends. With Command::kPubsub others
/// subscribe, and the way from publisher to subscriber is measured as well.
Result<Report> run_pub(const Options& options, const Clock& clock);
/// Clients connect, and stay (memory) or leave at once (churn).
Result<Report> run_conn(const Options& options, const Clock& clock);
/// Devices publish at a steady rate while a crowd of others loses its connections and comes back.
Result<Report> run_storm(const Options& options, const Clock& clock);

}  // namespace sluice::load
