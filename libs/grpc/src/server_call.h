#pragma once

#include <chrono>
#include <string>

#include <sluice/grpc/call.h>

#include <grpcpp/server_context.h>

namespace sluice::rpc {

/// A Call over gRPC's context, which must outlive it: until the status is given.
class ServerCall final : public Call {
 public:
  /// A deadline further away than `longest`, or none, is cut to the two limits.
  struct Limits {
    std::chrono::milliseconds default_deadline;
    std::chrono::milliseconds max_deadline;
  };

  ServerCall(const grpc::CallbackServerContext& context, Limits limits, const Clock& clock,
             Random& random);

  const std::string& peer() const override { return peer_; }
  const TraceContext& trace() const override { return trace_; }
  MonoTime deadline() const override { return deadline_; }
  bool is_cancelled() const override { return is_expired() || context_.IsCancelled(); }

  bool is_expired() const { return clock_.mono() >= deadline_; }
  MonoTime arrived() const { return arrived_; }

 private:
  const grpc::CallbackServerContext& context_;
  const Clock& clock_;
  const MonoTime arrived_;
  const MonoTime deadline_;
  const std::string peer_;
  const TraceContext trace_;
};

}  // namespace sluice::rpc
