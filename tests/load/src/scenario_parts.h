#pragma once

#include "publishers.h"
#include "report.h"
#include "workers.h"

#include <cstdint>

// What more than one scenario needs.
namespace sluice::load {

/// How one thread's share of clients publishes.
PublishOptions publish_options(const Options& options, const TextTemplate& topic);

double seconds_between(const Reading& before, const Reading& after);
/// The server's CPU between two readings: in all, and per million of `count` things done. Nothing
/// when no process was named.
void add_cpu(Report& report, const Options& options, const Reading& before, const Reading& after,
             std::uint64_t count);

}  // namespace sluice::load
