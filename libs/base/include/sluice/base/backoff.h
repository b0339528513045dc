#pragma once

#include <chrono>

#include <sluice/base/random.h>

namespace sluice {

/// How long to wait between attempts: full jitter, uniform over [0, min(cap, base * 2^attempt)].
/// Additive jitter keeps a crowd together; full jitter spreads it over the whole window.
class Backoff {
 public:
  struct Policy {
    std::chrono::milliseconds base{50};
    std::chrono::milliseconds cap{10'000};
  };

  Backoff(Policy policy, Random& random) : policy_(policy), random_(random) {}

  std::chrono::milliseconds next();
  void reset() { attempt_ = 0; }

 private:
  Policy policy_;
  Random& random_;
  int attempt_ = 0;
};

}  // namespace sluice
