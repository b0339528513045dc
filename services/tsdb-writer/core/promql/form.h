#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

/// The parameters of a request to Prometheus' API, from its target and its form. Unknown ones are
/// passed over and of repeated ones the first counts, as Prometheus does: its clients rely on it.
class Form {
 public:
  void add(std::string name, std::string value);
  /// "a=1&b=%20"; kInvalidArgument for broken escapes and more than 100 parameters.
  Result<> add_encoded(std::string_view body);

  std::string_view text(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  /// RFC 3339, or seconds since 1970 with a fraction; in milliseconds.
  Result<std::int64_t> time(std::string_view name, std::optional<std::int64_t> otherwise) const;
  /// Seconds, or a span such as 15s; at least a millisecond, at most 100 years.
  Result<std::int64_t> step(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace sluice::tsdb::promql
