#pragma once

#include "adapters/stream_side.h"
#include "config.h"

#include <memory>
#include <string>

namespace sluice::validator {

/// What operators reach: schemas, units, policies, rejected messages and re-drives over HTTP, with
/// PostgreSQL behind them. The data path goes on without it.
class OperatorSide {
 public:
  /// Opens the database and brings its schema up to date. What is passed by reference must outlive
  /// it.
  static Result<std::unique_ptr<OperatorSide>> open(const Config& config,
                                                    const std::string& service,
                                                    const StreamSide& stream, const Clock& clock,
                                                    Random& random, const Logger& log,
                                                    Registry& registry);
  ~OperatorSide();
  OperatorSide(const OperatorSide&) = delete;
  OperatorSide& operator=(const OperatorSide&) = delete;

  /// Gives the bound address.
  Result<std::string> start();
  void begin_drain();
  void stop();
  Result<> ping();
  bool is_publishing() const;

 private:
  struct Impl;
  explicit OperatorSide(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::validator
