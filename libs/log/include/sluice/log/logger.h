#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <sluice/base/clock.h>
#include <sluice/base/error.h>
#include <sluice/base/trace.h>

namespace sluice {

/// debug < info < warning < error.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

/// "debug", "info", "warning", "error": the spelling in lines and in the setting `log_level`.
std::string_view to_string(LogLevel level);
std::optional<LogLevel> parse_log_level(std::string_view text);

/// One name and value of a log line. Views are read before the call returns and never kept.
struct LogField {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  LogField(std::string_view field_name, std::string_view v) : name(field_name), value(v) {}
  LogField(std::string_view field_name, const char* v)
      : name(field_name), value(std::string_view(v)) {}
  LogField(std::string_view field_name, const std::string& v)
      : name(field_name), value(std::string_view(v)) {}
  LogField(std::string_view field_name, bool v) : name(field_name), value(v) {}
  LogField(std::string_view field_name, std::floating_point auto v)
      : name(field_name), value(static_cast<double>(v)) {}
  LogField(std::string_view field_name, std::signed_integral auto v)
      : name(field_name), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view field_name, std::unsigned_integral auto v)
      : name(field_name), value(static_cast<std::uint64_t>(v)) {}

  std::string_view name;
  Value value;
};

/// Where finished lines go. Called from any thread, one line (without its newline) per call.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(std::string_view line) = 0;
  /// Lines that could not be written so far.
  virtual std::uint64_t dropped() const { return 0; }
};

/// One JSON object per line on standard output:
///   {"ts":"…Z","level":"info","service":"device-registry","event":"import_done","trace_id":"…","rows":12}
/// `event` is a stable key in snake_case, fields carry the rest; there is no prose to parse. Values
/// are escaped whatever bytes they hold (invalid UTF-8 becomes U+FFFD) and cut at kMaxLogValueSize.
/// Never log payloads, tokens or keys. Thread-safe. Copies are cheap and share the sink.
class Logger {
 public:
  using Fields = std::initializer_list<LogField>;

  Logger(std::string service, LogLevel level, const Clock& clock, std::shared_ptr<LogSink> sink);

  /// The same logger whose lines carry this trace's id.
  Logger with_trace(const TraceContext& trace) const;

  void debug(std::string_view event, Fields fields = {}) const {
    write(LogLevel::kDebug, event, fields);
  }
  void info(std::string_view event, Fields fields = {}) const {
    write(LogLevel::kInfo, event, fields);
  }
  void warning(std::string_view event, Fields fields = {}) const {
    write(LogLevel::kWarning, event, fields);
  }
  void error(std::string_view event, Fields fields = {}) const {
    write(LogLevel::kError, event, fields);
  }
  /// An error with its code, message and reason as the fields error_code, error, reason.
  void error(std::string_view event, const Error& error, Fields fields = {}) const;
  void warning(std::string_view event, const Error& error, Fields fields = {}) const;

  bool is_enabled(LogLevel level) const { return level >= level_; }

 private:
  void write(LogLevel level, std::string_view event, Fields fields,
             const Error* error = nullptr) const;

  std::string service_;
  std::string trace_id_;
  LogLevel level_;
  const Clock* clock_;
  std::shared_ptr<LogSink> sink_;  // owned by every copy of the logger together
};

/// Longest text value in a log line; what is longer ends in "…".
inline constexpr std::size_t kMaxLogValueSize = 2048;

/// Writes to a file descriptor, which stays the caller's to close: one writev(2) per line. Lines of
/// several threads are never mixed. A descriptor that blocks holds the logging thread back; one
/// that is non-blocking and full, or broken, loses whole lines, which dropped() counts.
std::shared_ptr<LogSink> make_fd_log_sink(int fd);

}  // namespace sluice
