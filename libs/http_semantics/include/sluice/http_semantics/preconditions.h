#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::http {

/// The strong entity tag of a thing: its revision in quotes. Where a thing can be made anew under
/// an old name, revisions must go on rising, or the old tag would fit the new thing.
std::string etag_of(std::int64_t revision);

/// The conditions a request sets on what it reads or changes (RFC 9110, section 13.1). By itself:
/// none. A value, of one thread at a time.
class Preconditions {
 public:
  /// From the values of If-Match and If-None-Match as they were sent. What is malformed is
  /// kInvalidArgument and names the header; nothing is ever taken for "no condition".
  static Result<Preconditions> parse(std::optional<std::string_view> if_match,
                                     std::optional<std::string_view> if_none_match);

  /// `If-None-Match: *`: only create, never replace.
  bool is_create_only() const { return if_none_match_.is_any; }

  /// Whether a write may go on; `revision` is that of what is stored, nullopt where nothing is.
  /// kFailedPrecondition with reason "precondition_failed", which answers 412.
  Result<> check_write(std::optional<std::int64_t> revision) const;
  /// For GET: whether the sender has this very revision and is answered 304.
  bool is_not_modified(std::int64_t revision) const;

 private:
  struct Condition {
    bool is_present = false;
    bool is_any = false;
    std::vector<std::string> tags{};  // as sent: weak ones keep their W/
  };
  static Result<Condition> parse_list(std::string_view header,
                                      std::optional<std::string_view> value);

  Condition if_match_{};
  Condition if_none_match_{};
};

}  // namespace sluice::http
