#include "raw_watch.h"

#include "fleet.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include <sluice/ingest/raw_message.h>

namespace sluice::sim {

namespace {

constexpr std::chrono::milliseconds kBetweenReads(500);

}  // namespace

RawWatch::RawWatch(TopicTail tail, const Roster& roster)
    : tail_(std::move(tail)),
      roster_(roster),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

RawWatch::~RawWatch() = default;

void RawWatch::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    // Kafka may be away for a while: what it keeps silent about now comes later.
    static_cast<void>(read_on());
    stopped.wait_for(lock, stop, kBetweenReads, [] { return false; });
  }
}

Result<> RawWatch::read_on() {
  return tail_.read_on([this](const kafka::RecordView& record) {
    const std::int64_t device = roster_.find(record.key);
    if (device < 0) return;  // somebody else's
    Record read{.device = static_cast<std::uint32_t>(device), .sequence = -1};
    const auto message = ingest::read_raw_message(record.value.value_or(std::string_view()));
    if (message && message->message_id.size() == read.message_id.size()) {
      read.sequence = sequence_of(message->payload);
      std::ranges::copy(message->message_id, read.message_id.begin());
    }
    const std::lock_guard lock(mutex_);
    taken_.push_back(read);
  });
}

std::vector<RawWatch::Record> RawWatch::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(taken_, {});
}

Result<> RawWatch::finish() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  return read_on();
}

}  // namespace sluice::sim
