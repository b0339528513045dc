#include <sluice/kafka/sender.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sluice/base/check.h>

namespace sluice::kafka {
namespace {

// How long the thread waits for completions at most: a producer that is being rebuilt rings no
// bell.
constexpr std::chrono::milliseconds kPollInterval{50};

Result<> result_of(const Completion& completion) {
  if (!completion.failure) return {};
  return fail(Error(*completion.failure, "kafka did not store the record")
                  .with_reason(completion.may_be_stored ? "may_be_stored" : "not_stored"));
}

/// What send_and_wait waits for. Shared by it and the callbacks of its records, because it may give
/// up before they have come.
struct Wait {
  std::mutex mutex;
  std::condition_variable all_done;
  std::size_t open = 0;
  Result<> first_failure;

  void finish_one(Result<> result) {
    const std::lock_guard lock(mutex);
    if (!result && first_failure) first_failure = std::move(result);
    if (--open == 0) all_done.notify_all();
  }
};

}  // namespace

/// The producer has one owner thread; here this is whoever holds the mutex.
struct Sender::Impl {
  Impl(std::unique_ptr<Producer> p, const Clock& c) : producer(std::move(p)), clock(c) {}

  void run(const std::stop_token& stop);
  void poll();
  void cancel_rest();
  /// Waits until something completed or a moment has passed; false when the deadline has.
  bool wait_for_change(std::unique_lock<std::mutex>& lock, MonoTime deadline);

  std::mutex mutex;
  std::condition_variable changed;  // completions came: there is room, or nothing is in flight
  std::unique_ptr<Producer> producer;
  const Clock& clock;
  std::unordered_map<std::uint64_t, Done> pending;
  std::uint64_t next_token = 0;
  bool is_calling_back = false;
  std::vector<Completion> completions;  // of the thread
  std::jthread thread;                  // last: it uses the others
};

Sender::Sender(std::unique_ptr<Producer> producer, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(producer), clock)) {
  impl_->thread =
      std::jthread([impl = impl_.get()](const std::stop_token& stop) { impl->run(stop); });
}

Sender::~Sender() = default;

void Sender::Impl::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    producer->wait(kPollInterval);  // the one call that needs no owner
    poll();
  }
  cancel_rest();
}

void Sender::Impl::poll() {
  std::vector<std::pair<Done, Completion>> calls;
  {
    const std::lock_guard lock(mutex);
    completions.clear();
    producer->poll(completions);
    calls.reserve(completions.size());
    for (const Completion& completion : completions) {
      auto done = pending.extract(completion.token);
      SLUICE_CHECK(!done.empty());
      calls.emplace_back(std::move(done.mapped()), completion);
    }
    is_calling_back = !calls.empty();
  }
  for (auto& [done, completion] : calls) done(result_of(completion));
  {
    const std::lock_guard lock(mutex);
    is_calling_back = false;
  }
  changed.notify_all();
}

void Sender::Impl::cancel_rest() {
  std::unordered_map<std::uint64_t, Done> rest;
  {
    const std::lock_guard lock(mutex);
    rest = std::move(pending);
    pending.clear();
  }
  for (auto& [token, done] : rest) {
    done(fail(Error(ErrorCode::kCancelled, "the sender ended before kafka answered")
                  .with_reason("may_be_stored")));
  }
}

bool Sender::Impl::wait_for_change(std::unique_lock<std::mutex>& lock, MonoTime deadline) {
  if (clock.mono() >= deadline) return false;
  changed.wait_for(lock, kPollInterval);
  return true;
}

Result<> Sender::send(const Record& record, Done done) {
  const std::lock_guard lock(impl_->mutex);
  const std::uint64_t token = impl_->next_token++;
  SLUICE_TRY(impl_->producer->try_append(record, token));
  impl_->pending.emplace(token, std::move(done));
  return {};
}

Result<> Sender::send_and_wait(std::span<const Record> records, std::chrono::milliseconds timeout) {
  SLUICE_CHECK(std::this_thread::get_id() != impl_->thread.get_id());  // it would wait for itself
  const MonoTime deadline = impl_->clock.mono() + timeout;
  const auto wait = std::make_shared<Wait>();  // owned by this call and by its records' callbacks

  for (const Record& record : records) {
    std::unique_lock lock(impl_->mutex);
    const std::uint64_t token = impl_->next_token++;
    while (true) {
      const auto appended = impl_->producer->try_append(record, token);
      if (appended) break;
      if (!is_retryable(appended.error().code())) return appended;
      if (!impl_->wait_for_change(lock, deadline)) return appended;
    }
    {
      const std::lock_guard counting(wait->mutex);
      ++wait->open;
    }
    impl_->pending.emplace(token, [wait](Result<> result) { wait->finish_one(std::move(result)); });
  }

  std::unique_lock lock(wait->mutex);
  while (wait->open > 0) {
    if (impl_->clock.mono() >= deadline) {
      return fail(
          Error(ErrorCode::kDeadlineExceeded, "kafka has not acknowledged all records in time")
              .with_reason("may_be_stored"));
    }
    wait->all_done.wait_for(lock, kPollInterval);
  }
  return wait->first_failure;
}

Result<> Sender::flush(std::chrono::milliseconds timeout) {
  SLUICE_CHECK(std::this_thread::get_id() != impl_->thread.get_id());
  const MonoTime deadline = impl_->clock.mono() + timeout;
  std::unique_lock lock(impl_->mutex);
  while (!impl_->pending.empty() || impl_->is_calling_back) {
    if (!impl_->wait_for_change(lock, deadline)) {
      return fail(ErrorCode::kDeadlineExceeded, "kafka has not acknowledged all records in time");
    }
  }
  return {};
}

}  // namespace sluice::kafka
