#include "channel_impl.h"
#include "monotonic.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::rpc {
namespace {

using std::chrono::milliseconds;

// The first wait is short, as most failures are one lost connection; the deadline bounds the last.
constexpr Backoff::Policy kBackoff{.base = milliseconds(50), .cap = milliseconds(2000)};

milliseconds timeout_of(const CallOptions& options, const ClientConfig& config) {
  return options.timeout > milliseconds(0) ? options.timeout : config.timeout;
}

}  // namespace

OngoingCall::OngoingCall(Channel::Impl& channel, const CallOptions& options,
                         raw_detail::StartAttempt start, raw_detail::Done done)
    : channel_(channel),
      delay_(options.delay),
      is_idempotent_(options.is_idempotent),
      traceparent_(options.trace ? options.trace->traceparent() : std::string()),
      start_(std::move(start)),
      done_(std::move(done)),
      started_(channel.clock.mono()),
      deadline_(started_ + timeout_of(options, channel.config)),
      backoff_(kBackoff, channel.random) {}

void OngoingCall::begin() {
  // One that is cancelled ends as it would without a delay.
  if (delay_ <= milliseconds(0) || !attempt_after(delay_)) attempt();
}

bool OngoingCall::attempt_after(milliseconds wait) {
  const std::lock_guard lock(mutex_);
  context_.reset();
  if (is_cancelled_) return false;
  // Weak, as the alarm keeps its function until it is destroyed, which this call does. The channel
  // has the call until it is over.
  timer_.Set(grpc_time_after(wait), [call = weak_from_this()](bool) {
    if (const auto self = call.lock()) self->attempt();
  });
  return true;
}

void OngoingCall::attempt() {
  auto context = std::make_unique<grpc::ClientContext>();
  const auto left = std::chrono::ceil<milliseconds>(deadline_ - channel_.clock.mono());
  context->set_deadline(grpc_time_after(std::max(left, milliseconds(0))));
  if (!traceparent_.empty()) context->AddMetadata("traceparent", traceparent_);
  grpc::ClientContext* raw = context.get();
  {
    std::lock_guard lock(mutex_);
    // Before the call begins this makes it end at once; the callback comes all the same.
    if (is_cancelled_) raw->TryCancel();
    context_ = std::move(context);
  }
  ++attempts_;
  start_(raw, [self = shared_from_this()](const grpc::Status& status) { self->on_status(status); });
}

void OngoingCall::cancel() {
  std::lock_guard lock(mutex_);
  is_cancelled_ = true;
  if (context_) context_->TryCancel();
  timer_.Cancel();
}

void OngoingCall::on_status(const grpc::Status& status) {
  channel_.count_attempt(status);
  if (status.ok()) channel_.budget.on_success();
  if (!may_try_again(status)) return finish(from_status(status));

  const milliseconds wait = backoff_.next();
  if (channel_.clock.mono() + wait >= deadline_) return finish(from_status(status));
  if (!channel_.budget.try_spend()) {
    channel_.retries_over_budget.add();
    return finish(from_status(status));
  }
  channel_.retries.add();
  if (!attempt_after(wait)) finish(from_status(status));
}

bool OngoingCall::may_try_again(const grpc::Status& status) const {
  return is_idempotent_ && status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         attempts_ < channel_.config.max_attempts;
}

void OngoingCall::finish(Result<> outcome) {
  channel_.call_seconds.observe(
      std::chrono::duration<double>(channel_.clock.mono() - started_).count());
  if (!outcome)
    outcome = fail(std::move(outcome).error().context("call " + channel_.config.service));
  std::exchange(done_, nullptr)(std::move(outcome));
  // Before the channel may go: the context owns the connection together with it, and a connection
  // that ends on one of gRPC's callback threads would wait there for that very thread.
  start_ = nullptr;
  {
    std::lock_guard lock(mutex_);
    context_.reset();
  }
  channel_.remove(shared_from_this());
}

namespace raw_detail {

void start_call(Channel& channel, const CallOptions& options, StartAttempt start, Done done) {
  auto call =
      std::make_shared<OngoingCall>(channel.impl(), options, std::move(start), std::move(done));
  if (channel.impl().add(call)) return call->begin();
  call->take_done()(fail(
      Error(ErrorCode::kCancelled, "the channel has been stopped").with_reason("channel_stopped")));
}

Result<> run_call(Channel& channel, const CallOptions& options, StartAttempt start) {
  std::mutex mutex;
  std::condition_variable arrived;
  std::optional<Result<>> outcome;
  start_call(channel, options, std::move(start), [&](Result<> result) {
    // Notified under the lock: the waiting thread takes these three away as soon as it is released.
    std::lock_guard lock(mutex);
    outcome = std::move(result);
    arrived.notify_one();
  });
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return outcome.has_value(); });
  return *std::move(outcome);
}

std::shared_ptr<grpc::Channel> grpc_channel(Channel& channel) {
  return channel.impl().connection();
}

}  // namespace raw_detail
}  // namespace sluice::rpc
