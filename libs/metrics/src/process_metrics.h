#pragma once

#include <vector>

#include <prometheus/metric_family.h>

namespace sluice::metrics_detail {

/// Appends what every Prometheus client tells of its process: processor time, memory, descriptors,
/// threads and the time of start. What /proc does not give is left out.
void append_process_metrics(std::vector<prometheus::MetricFamily>& families);

}  // namespace sluice::metrics_detail
