#include <sluice/http/query_reader.h>

#include <algorithm>
#include <charconv>
#include <format>

#include <sluice/base/ids.h>
#include <sluice/http/request.h>

namespace sluice::http {
namespace {

// Read by the server itself, on writes; harmless on reads.
constexpr std::string_view kDryRun = "dry_run";
// As many as JsonReader tells.
constexpr std::size_t kMaxQueryFaults = 50;

}  // namespace

QueryReader::QueryReader(const Request& request) : request_(request) { asked_.emplace(kDryRun); }

void QueryReader::fault(std::string_view name, std::string message) {
  if (faults_.size() < kMaxQueryFaults) faults_.push_back({std::string(name), std::move(message)});
}

std::optional<std::string> QueryReader::take(std::string_view name) {
  asked_.emplace(name);
  std::optional<std::string> out;
  for (const auto& [key, value] : request_.query) {
    if (key != name) continue;
    if (out) {
      fault(name, "is there twice");
      return std::nullopt;
    }
    out = value;
  }
  return out;
}

std::optional<std::string> QueryReader::text(std::string_view name, std::size_t max_size) {
  auto value = take(name);
  if (!value) return std::nullopt;
  if (value->empty()) {
    fault(name, "must not be empty");
    return std::nullopt;
  }
  if (value->size() > max_size) {
    fault(name, std::format("must have at most {} bytes", max_size));
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> QueryReader::one_of(std::string_view name,
                                               const std::vector<std::string>& values) {
  auto value = take(name);
  if (!value || std::ranges::find(values, *value) != values.end()) return value;
  std::string known;
  for (const std::string& each : values) known += (known.empty() ? "" : ", ") + each;
  fault(name, "must be one of " + known);
  return std::nullopt;
}

std::optional<std::string> QueryReader::id(std::string_view name) {
  auto value = take(name);
  if (!value) return std::nullopt;
  if (auto checked = check_id(*value, name); !checked) {
    const auto& found = checked.error().faults();
    fault(name, found.empty() ? checked.error().message() : found.front().message);
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> QueryReader::integer(std::string_view name, IntegerRule rule) {
  const auto value = take(name);
  if (!value) return std::nullopt;
  std::int64_t number = 0;
  const char* const end = value->data() + value->size();
  const auto [read_to, problem] = std::from_chars(value->data(), end, number);
  if (problem != std::errc{} || read_to != end || number < rule.min || number > rule.max) {
    fault(name, std::format("must be a whole number from {} to {}", rule.min, rule.max));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> QueryReader::boolean(std::string_view name) {
  const auto value = take(name);
  if (!value) return std::nullopt;
  if (*value == "true") return true;
  if (*value == "false") return false;
  fault(name, "must be true or false");
  return std::nullopt;
}

std::optional<WallTime> QueryReader::time(std::string_view name) {
  const auto value = take(name);
  if (!value) return std::nullopt;
  auto time = parse_rfc3339(*value);
  if (!time) {
    fault(name, "must be a time such as 2026-01-31T12:00:00Z");
    return std::nullopt;
  }
  return *time;
}

std::vector<std::string> QueryReader::list(std::string_view name, std::size_t max_items,
                                           std::size_t max_size) {
  asked_.emplace(name);
  std::vector<std::string> out;
  for (const auto& [key, value] : request_.query) {
    if (key != name) continue;
    if (value.empty() || value.size() > max_size) {
      fault(name, std::format("must have 1 to {} bytes", max_size));
    } else {
      out.push_back(value);
    }
  }
  if (out.size() > max_items) {
    fault(name, std::format("must be there at most {} times", max_items));
    out.clear();
  }
  return out;
}

Result<> QueryReader::finish() {
  for (const auto& [name, value] : request_.query) {
    if (!asked_.contains(name)) fault(name, "is not known");
  }
  if (faults_.empty()) return {};
  return fail(Error(ErrorCode::kInvalidArgument, "the query has faults").with_faults(faults_));
}

}  // namespace sluice::http
