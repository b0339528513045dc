#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <format>
#include <string>
#include <utility>

#include <sluice/base/clock.h>

namespace sluice::simulation {

/// What happened, a line each: hashed, so that two runs can be compared to the byte, and the last
/// few kept, for whoever reads why a run failed.
class Trace {
 public:
  explicit Trace(const Clock& clock) : clock_(clock), start_(clock.mono()) {}

  template <typename... Args>
  void note(std::format_string<Args...> format, Args&&... args) {
    line_.clear();
    begin();
    std::format_to(std::back_inserter(line_), format, std::forward<Args>(args)...);
    end();
  }

  /// Also writes every line to standard output.
  bool is_shown = false;

  std::uint64_t hash() const { return hash_; }
  std::uint64_t lines() const { return lines_; }
  const std::deque<std::string>& last() const { return last_; }

 private:
  static constexpr std::size_t kKept = 30;

  void begin();
  void end();

  const Clock& clock_;
  const MonoTime start_;
  std::string line_;
  std::deque<std::string> last_;
  std::uint64_t hash_ = 0xcbf29ce484222325U;  // FNV-1a
  std::uint64_t lines_ = 0;
};

}  // namespace sluice::simulation
