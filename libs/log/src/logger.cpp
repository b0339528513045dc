#include <sluice/log/logger.h>

#include "json_line.h"

#include <array>
#include <utility>

#include <sluice/base/check.h>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

/// A thread's line under construction: kept between lines, so that logging allocates only while the
/// longest line so far grows. What one huge line took is given back.
class LineBuffer {
 public:
  static constexpr std::size_t kKept = 16 * 1024;

  explicit LineBuffer(std::string& storage) : storage_(storage) { storage_.clear(); }
  ~LineBuffer() {
    if (storage_.capacity() > kKept) storage_ = std::string();
  }
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  std::string& text() { return storage_; }

 private:
  std::string& storage_;
};

void append_field(std::string& line, std::string_view name, const LogField::Value& value) {
  line += ',';
  log_detail::append_json_string(line, name, kMaxLogValueSize);
  line += ':';
  log_detail::append_json_value(line, value);
}

}  // namespace

std::string_view to_string(LogLevel level) { return kLevelNames[std::to_underlying(level)]; }

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

Logger::Logger(std::string service, LogLevel level, const Clock& clock,
               std::shared_ptr<LogSink> sink)
    : service_(std::move(service)), level_(level), clock_(&clock), sink_(std::move(sink)) {
  SLUICE_CHECK(sink_ != nullptr);
}

Logger Logger::with_trace(const TraceContext& trace) const {
  Logger traced = *this;
  traced.trace_id_ = trace.trace_id_hex();
  return traced;
}

void Logger::error(std::string_view event, const Error& error, Fields fields) const {
  write(LogLevel::kError, event, fields, &error);
}

void Logger::warning(std::string_view event, const Error& error, Fields fields) const {
  write(LogLevel::kWarning, event, fields, &error);
}

void Logger::write(LogLevel level, std::string_view event, Fields fields,
                   const Error* error) const {
  if (!is_enabled(level)) return;
  thread_local std::string storage;
  LineBuffer buffer(storage);
  std::string& line = buffer.text();

  line += R"({"ts":")";
  append_rfc3339(line, clock_->wall());
  line += '"';
  append_field(line, "level", to_string(level));
  append_field(line, "service", std::string_view(service_));
  append_field(line, "event", event);
  if (!trace_id_.empty()) append_field(line, "trace_id", std::string_view(trace_id_));
  if (error != nullptr) {
    append_field(line, "error_code", to_string(error->code()));
    append_field(line, "error", std::string_view(error->message()));
    if (!error->reason().empty()) append_field(line, "reason", std::string_view(error->reason()));
  }
  for (const LogField& field : fields) append_field(line, field.name, field.value);
  line += '}';
  sink_->write(line);
}

}  // namespace sluice
