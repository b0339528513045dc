#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/log/logger.h>

namespace sluice::testing {

/// A log sink that keeps lines for a test to look at. Thread-safe.
///   auto log = std::make_shared<CapturedLog>();
///   Logger logger = log->logger("device-registry", clock);
class CapturedLog final : public LogSink, public std::enable_shared_from_this<CapturedLog> {
 public:
  void write(std::string_view line) override;

  /// A logger of every level that writes here. The log must be held by a shared_ptr: loggers share
  /// it.
  Logger logger(std::string service, const Clock& clock);

  std::vector<std::string> lines() const;
  /// Lines of this event.
  std::size_t count(std::string_view event) const;
  /// Whether any line holds the text: for proving that a planted secret is nowhere.
  bool contains(std::string_view text) const;
  /// Waits for a line of this event.
  bool wait_for(std::string_view event, std::chrono::milliseconds deadline) const;
  void clear();

 private:
  std::size_t count_locked(std::string_view event) const;

  mutable std::mutex mutex_;
  mutable std::condition_variable arrived_;
  std::vector<std::string> lines_;
};

}  // namespace sluice::testing
