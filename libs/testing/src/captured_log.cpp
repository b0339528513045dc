#include <sluice/testing/captured_log.h>

#include <algorithm>
#include <format>
#include <utility>

namespace sluice::testing {

void CapturedLog::write(std::string_view line) {
  {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
  }
  arrived_.notify_all();
}

Logger CapturedLog::logger(std::string service, const Clock& clock) {
  return Logger(std::move(service), LogLevel::kDebug, clock, shared_from_this());
}

std::vector<std::string> CapturedLog::lines() const {
  std::lock_guard lock(mutex_);
  return lines_;
}

std::size_t CapturedLog::count(std::string_view event) const {
  std::lock_guard lock(mutex_);
  return count_locked(event);
}

bool CapturedLog::contains(std::string_view text) const {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(lines_, [&](const std::string& line) { return line.contains(text); });
}

bool CapturedLog::wait_for(std::string_view event, std::chrono::milliseconds deadline) const {
  std::unique_lock lock(mutex_);
  return arrived_.wait_for(lock, deadline, [&] { return count_locked(event) > 0; });
}

void CapturedLog::clear() {
  std::lock_guard lock(mutex_);
  lines_.clear();
}

std::size_t CapturedLog::count_locked(std::string_view event) const {
  // Quotes inside values are escaped, so this text is the event's field and nothing else.
  const std::string field = std::format(R"("event":"{}")", event);
  return static_cast<std::size_t>(
      std::ranges::count_if(lines_, [&](const std::string& line) { return line.contains(field); }));
}

}  // namespace sluice::testing
