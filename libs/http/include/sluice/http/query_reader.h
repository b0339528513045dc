#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::http {

struct Request;

/// JsonReader's idea for query parameters: typed, all faults at once, unknown and repeated ones
/// refused. `dry_run` is known everywhere.
class QueryReader {
 public:
  struct IntegerRule {
    std::int64_t min = 0;
    std::int64_t max = 0;
  };

  /// `request` must live as long as the reader.
  explicit QueryReader(const Request& request);

  std::optional<std::string> text(std::string_view name, std::size_t max_size = 256);
  std::optional<std::string> one_of(std::string_view name, const std::vector<std::string>& values);
  std::optional<std::string> id(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, IntegerRule rule);
  /// "true" or "false".
  std::optional<bool> boolean(std::string_view name);
  std::optional<WallTime> time(std::string_view name);
  /// A parameter that may be repeated.
  std::vector<std::string> list(std::string_view name, std::size_t max_items,
                                std::size_t max_size = 256);

  void fault(std::string_view name, std::string message);
  Result<> finish();

 private:
  std::optional<std::string> take(std::string_view name);

  const Request& request_;
  std::set<std::string, std::less<>> asked_;
  std::vector<FieldFault> faults_;
};

}  // namespace sluice::http
