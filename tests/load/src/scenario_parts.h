#pragma once

#include "publishers.h"
#include "report.h"
#include "workers.h"

#include <chrono>
#include <cstdint>

// What more than one scenario needs.
namespace sluice::load {

/// How one thread's share of clients publishes.
PublishOptions publish_options(const Options& options, const TextTemplate& topic);

std::chrono::nanoseconds nanoseconds_of(double seconds);
double seconds_between(const Reading& before, const Reading& after);
/// The server's CPU between two readings: in all, and per million of `count` things done. Nothing
/// when no process was named.
void add_cpu(Report& report, const Options& options, const Reading& before, const Reading& after,
             std::uint64_t count);
/// SYNs dropped between two readings; nothing when no process was named, as the server may then be
/// on another machine.
void add_listen_drops(Report& report, const Options& options, const Reading& before,
                      const Reading& after);

}  // namespace sluice::load
