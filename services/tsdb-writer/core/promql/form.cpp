#include "core/promql/form.h"

#include "core/query/parse.h"

#include <charconv>
#include <cmath>
#include <format>

namespace sluice::tsdb::promql {
namespace {

constexpr std::size_t kMaxFields = 100;

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      unsigned byte = 0;
      if (text.size() - i < 3) return std::nullopt;
      const char* digits = text.data() + i + 1;
      const auto read = std::from_chars(digits, digits + 2, byte, 16);
      if (read.ec != std::errc() || read.ptr != digits + 2) return std::nullopt;
      out += static_cast<char>(byte);
      i += 2;
    }
  }
  return out;
}

std::optional<double> seconds_in(std::string_view text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::unexpected<Error> bad_parameter(std::string_view name, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, std::format("invalid parameter \"{}\": {}", name, what));
}

}  // namespace

void Form::add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

Result<> Form::add_encoded(std::string_view body) {
  while (!body.empty()) {
    const std::size_t end = body.find('&');
    const std::string_view field = body.substr(0, end);
    body = end == std::string_view::npos ? std::string_view() : body.substr(end + 1);
    if (field.empty()) continue;
    const std::size_t equals = field.find('=');
    auto name = decoded(field.substr(0, equals));
    auto value = equals == std::string_view::npos ? std::optional<std::string>("")
                                                  : decoded(field.substr(equals + 1));
    if (!name || !value) return fail(ErrorCode::kInvalidArgument, "error parsing form values");
    if (fields_.size() == kMaxFields) {
      return fail(ErrorCode::kInvalidArgument, "more than 100 parameters");
    }
    add(*std::move(name), *std::move(value));
  }
  return {};
}

std::string_view Form::text(std::string_view name) const {
  for (const auto& [each, value] : fields_) {
    if (each == name) return value;
  }
  return {};
}

std::vector<std::string> Form::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [each, value] : fields_) {
    if (each == name) values.push_back(value);
  }
  return values;
}

namespace {

/// What a parameter said, for its refusal: enough to recognise it, cut between characters.
std::string_view shortened(std::string_view value) {
  constexpr std::size_t kMost = 100;
  if (value.size() <= kMost) return value;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0U) == 0x80U) --end;
  return value.substr(0, end);
}

}  // namespace

Result<std::int64_t> Form::time(std::string_view name,
                                std::optional<std::int64_t> otherwise) const {
  const std::string_view value = text(name);
  if (value.empty() && otherwise) return *otherwise;
  if (const auto seconds = seconds_in(value); seconds && std::abs(*seconds) < 1e11) {
    const auto ms = static_cast<std::int64_t>(std::llround(*seconds * 1000));
    if (time_of_ms(ms)) return ms;
  } else if (const auto time = parse_rfc3339(value)) {
    const std::int64_t ms = time->time_since_epoch().count();
    if (time_of_ms(ms)) return ms;
  }
  return bad_parameter(name,
                       std::format("cannot parse \"{}\" to a valid timestamp", shortened(value)));
}

Result<std::int64_t> Form::step(std::string_view name) const {
  const std::string_view value = text(name);
  if (const auto span = parse_span(value)) return span->count();
  constexpr double kMaxSeconds = 100.0 * 365 * 86'400;
  if (const auto seconds = seconds_in(value);
      seconds && *seconds >= 0.001 && *seconds <= kMaxSeconds) {
    return static_cast<std::int64_t>(std::llround(*seconds * 1000));
  }
  return bad_parameter(
      name, std::format("cannot parse \"{}\" to a valid duration above zero", shortened(value)));
}

}  // namespace sluice::tsdb::promql
