#pragma once

#include "options.h"

#include <cstdint>
#include <memory>
#include <stop_token>

#include <sluice/base/result.h>

namespace sluice::load {

/// The least a server can do: takes packets apart and gives the answers the protocol demands,
/// without topics, sessions or any state but unfinished packets. What it costs, no server
/// undercuts. Single-threaded; run() is the owner.
class NullSink {
 public:
  /// Listens. Of the options: host, port, TLS, forward, fault, limit.
  static Result<std::unique_ptr<NullSink>> make(const Options& options);
  ~NullSink();

  std::uint16_t port() const;
  /// Serves until it is asked to stop; serves anew when called again.
  void run(std::stop_token stop);

 private:
  struct Impl;
  explicit NullSink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::load
