#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/producer.h>
#include <sluice/kafka/record.h>

namespace sluice::kafka {

/// A producer for those who send little and from anywhere: an outbox, an audit trail, a dead
/// letter. Thread-safe; owns one thread, on which callbacks run. Costs an allocation and a lock per
/// record: a front with its own loop uses Producer itself.
class Sender {
 public:
  /// Told once what became of the record. Runs on the Sender's thread, must be quick and must not
  /// call the Sender's blocking functions. Runs with kCancelled for what is undecided at the
  /// Sender's end.
  using Done = std::move_only_function<void(Result<>)>;

  Sender(std::unique_ptr<Producer> producer, const Clock& clock);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  /// Takes the record, or refuses as Producer::try_append does; then `done` is not called.
  Result<> send(const Record& record, Done done);

  /// Appends all, in order, waiting for room where needed, and returns when all are acknowledged,
  /// or the first failure. After a failure any of them may be stored: send all again (that is what
  /// an outbox does, and why its readers are idempotent).
  Result<> send_and_wait(std::span<const Record> records, std::chrono::milliseconds timeout);

  /// Waits until nothing is in flight.
  Result<> flush(std::chrono::milliseconds timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::kafka
