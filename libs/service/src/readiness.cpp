#include "readiness.h"

#include <exception>
#include <format>

#include <sluice/base/check.h>

namespace sluice::service {

bool CheckState::update(const Result<>& result, MonoTime now) {
  answered_at_ = now;
  const bool is_first = !has_answered_;
  const bool was_good = is_good_;
  const bool is_agreeing = result.has_value() == is_good_;
  against_ = is_agreeing ? 0 : against_ + 1;
  const int needed = is_first ? 1 : is_good_ ? kFailuresToBad : kSuccessesToGood;
  if (against_ >= needed) {
    is_good_ = !is_good_;
    against_ = 0;
  }
  has_answered_ = true;
  if (!result) {
    reason_ = result.error().message();
  } else if (!is_good_) {
    reason_ = "good again, but not for long enough";
  }
  return is_first || is_good_ != was_good;
}

CheckReport CheckState::report(std::string name, MonoTime now) const {
  if (has_answered_ && now - answered_at_ > kMaxAge) {
    const auto age = std::chrono::floor<std::chrono::seconds>(now - answered_at_);
    return {std::move(name), false, std::format("has not answered for {} s", age.count())};
  }
  return {std::move(name), is_good_, is_good_ ? "" : reason_};
}

void Readiness::add(std::string name, Check check) {
  SLUICE_CHECK(!thread_.joinable());
  const Gauge gauge =
      registry_.gauge("sluice_readiness_check_ready",
                      "Whether a readiness check is good (1) or not (0).", {{"check", name}});
  const std::lock_guard lock(mutex_);
  entries_.push_back(
      std::make_unique<Entry>(std::move(name), std::move(check), gauge, CheckState()));
}

void Readiness::start(std::chrono::milliseconds period) {
  thread_ = std::jthread([this, period](const std::stop_token& stop) { run(stop, period); });
}

void Readiness::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::vector<CheckReport> Readiness::reports() const {
  const MonoTime now = clock_.mono();
  std::vector<CheckReport> out;
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) out.push_back(entry->state.report(entry->name, now));
  return out;
}

void Readiness::run(const std::stop_token& stop, std::chrono::milliseconds period) {
  while (!stop.stop_requested()) {
    // Nobody adds any more, so that the list needs no lock; the states do.
    for (const auto& entry : entries_) {
      if (stop.stop_requested()) return;
      run_one(*entry);
    }
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, stop, period, [] { return false; });
  }
}

void Readiness::run_one(Entry& entry) {
  Result<> result;
  try {
    result = entry.check();
  } catch (const std::exception& e) {
    result = fail(ErrorCode::kInternal, e.what());
  }
  bool has_changed = false;
  bool is_good = false;
  {
    const std::lock_guard lock(mutex_);
    has_changed = entry.state.update(result, clock_.mono());
    is_good = entry.state.report("", clock_.mono()).is_ready;
  }
  entry.gauge.set(is_good ? 1 : 0);
  if (!has_changed) return;
  if (is_good) {
    log_.info("readiness_check_good", {{"check", entry.name}});
  } else {
    log_.warning("readiness_check_bad", result.error(), {{"check", entry.name}});
  }
}

}  // namespace sluice::service
