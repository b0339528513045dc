#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::http {

struct Request;

/// The strong entity tag of a row's version: `"v7"`, quotes included.
std::string etag_of(std::int64_t version);
/// The version in such a tag; nullopt for any other text.
std::optional<std::int64_t> version_of(std::string_view etag);

/// If-Match and If-None-Match of one request (RFC 9110, section 13).
class Preconditions {
 public:
  /// Malformed headers are kInvalidArgument; nothing is ever taken for "no condition".
  static Result<Preconditions> parse(const Request& request);

  bool has_if_match() const { return if_match_.is_present; }
  bool has_if_none_match() const { return if_none_match_.is_present; }
  /// `If-None-Match: *`: only create, never replace.
  bool is_create_only() const { return if_none_match_.is_any; }

  /// Whether a write may go on; `current` is the tag of what is stored, nullopt when nothing is.
  /// The error answers 412.
  Result<> check_write(const std::optional<std::string>& current) const;
  /// For GET: the sender has this very version, answer 304.
  bool is_not_modified(std::string_view current) const;

  /// The one version of `If-Match: "v7"`, for `UPDATE … WHERE version = $1`. nullopt without the
  /// header and for `*`; 412 when it names no tag of ours.
  Result<std::optional<std::int64_t>> expected_version() const;

 private:
  struct Condition {
    bool is_present = false;
    bool is_any = false;
    std::vector<std::string> tags;  // weak ones keep their W/
  };
  static Result<Condition> parse_list(const Request& request, std::string_view header);

  Condition if_match_;
  Condition if_none_match_;
};

/// 412: what is stored is not what the sender saw.
Error precondition_failed();

}  // namespace sluice::http
