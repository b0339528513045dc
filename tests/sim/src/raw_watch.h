#pragma once

#include "roster.h"
#include "topic_tail.h"

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sluice::sim {

/// Reads telemetry.raw on a thread of its own while devices publish, so that a run knows at once
/// what is missing. The questions are for one owner.
class RawWatch {
 public:
  struct Record {
    std::uint32_t device = 0;
    std::int64_t sequence = 0;
    std::array<char, 16> message_id{};

    std::string_view id() const { return {message_id.data(), message_id.size()}; }
  };

  /// `roster` must outlive it.
  RawWatch(TopicTail tail, const Roster& roster);
  ~RawWatch();

  /// What came since the last time.
  std::vector<Record> take();
  /// Ends the thread and reads to the end of the topic; take() has it.
  Result<> finish();

 private:
  void run(const std::stop_token& stop);
  Result<> read_on();

  TopicTail tail_;
  const Roster& roster_;
  std::mutex mutex_;
  std::vector<Record> taken_;
  std::jthread thread_;
};

}  // namespace sluice::sim
