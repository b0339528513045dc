#pragma once

#include "retry_budget.h"

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <sluice/base/backoff.h>
#include <sluice/grpc/raw.h>

#include <grpcpp/alarm.h>

namespace sluice::rpc {

class OngoingCall;

struct Channel::Impl {
  Impl(const ClientConfig& config, const Clock& clock, Random& random, const Logger& log,
       Registry& registry);

  /// The connection to use now, after a look at the certificate files when the last look is a while
  /// ago.
  std::shared_ptr<grpc::Channel> connection();
  void connect(std::shared_ptr<const crypto::TlsMaterial> with_material);
  void take_up_renewed_files();

  /// False when the channel has stopped.
  bool add(std::shared_ptr<OngoingCall> call);
  /// The last act of a call: afterwards the channel may be gone.
  void remove(const std::shared_ptr<OngoingCall>& call);
  void stop();

  void count_attempt(const grpc::Status& status);

  const ClientConfig config;
  const Clock& clock;
  Random& random;
  const Logger log;
  Registry& registry;
  Counter attempts_ok;
  Counter retries;
  Counter retries_over_budget;
  Counter reloads;
  Counter reloads_failed;
  Histogram call_seconds;
  RetryBudget budget;
  std::unique_ptr<crypto::TlsFiles> files;  // null: plaintext

  std::mutex connection_mutex;
  std::shared_ptr<grpc::Channel> current;  // owned here, by stubs and by calls under way
  // Connections of earlier certificates, until their calls are over. Kept so that the end of such a
  // call, on a thread of gRPC's, is never the end of its connection: that would wait there for that
  // very thread.
  std::vector<std::shared_ptr<grpc::Channel>> retired;  // owned here and by calls under way
  std::shared_ptr<const crypto::TlsMaterial>
      material;  // of the current connection; owned with `files`
  MonoTime files_checked_at{};
  std::string last_reload_error;  // so that a fault that stays is logged once

  std::mutex calls_mutex;
  std::condition_variable no_calls;
  std::set<std::shared_ptr<OngoingCall>> calls;  // each owned here and by gRPC's callbacks
  bool is_stopped = false;
};

/// One call with all its attempts. Driven by gRPC's callbacks, which own it together with the
/// channel.
class OngoingCall : public std::enable_shared_from_this<OngoingCall> {
 public:
  OngoingCall(Channel::Impl& channel, const CallOptions& options, raw_detail::StartAttempt start,
              raw_detail::Done done);

  void begin();
  /// Any thread. The callback still comes, with kCancelled.
  void cancel();

  raw_detail::Done take_done() { return std::move(done_); }

 private:
  void attempt();
  /// Makes an attempt after `wait`; false when the call has been cancelled.
  bool attempt_after(std::chrono::milliseconds wait);
  void on_status(const grpc::Status& status);
  bool may_try_again(const grpc::Status& status) const;
  void finish(Result<> outcome);

  Channel::Impl& channel_;
  const std::chrono::milliseconds delay_;
  const bool is_idempotent_;
  const std::string traceparent_;
  raw_detail::StartAttempt start_;
  raw_detail::Done done_;
  const MonoTime started_;
  const MonoTime deadline_;

  std::int64_t attempts_ = 0;  // touched by one callback after the other
  Backoff backoff_;

  std::mutex mutex_;  // for cancel(), which comes from outside
  bool is_cancelled_ = false;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::Alarm timer_;
};

}  // namespace sluice::rpc
