#pragma once

#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/trace.h>

namespace sluice::rpc {

/// What a handler knows about the call it serves.
class Call {
 public:
  virtual ~Call() = default;

  /// The calling service as its certificate proves it; empty on a plaintext loopback connection.
  virtual const std::string& peer() const = 0;
  /// The caller's trace with a span of ours, or a new one.
  virtual const TraceContext& trace() const = 0;
  /// When the caller stops waiting: pass it on to the database. There always is one.
  virtual MonoTime deadline() const = 0;
  /// Whether nobody waits any more: a long handler looks now and then and gives up.
  virtual bool is_cancelled() const = 0;
};

}  // namespace sluice::rpc
