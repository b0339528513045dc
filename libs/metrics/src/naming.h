#pragma once

#include <string_view>

#include <sluice/metrics/metrics.h>

namespace sluice::metrics_detail {

enum class MetricType { kCounter, kGauge, kHistogram };

std::string_view to_string(MetricType type);

/// Why `name` may not be the name of such a metric; empty when it may.
std::string_view name_fault(std::string_view name, MetricType type);

/// Why a label may not be called this; empty when it may.
std::string_view label_name_fault(std::string_view name);

}  // namespace sluice::metrics_detail
