#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::tsdb::promql {

inline constexpr std::string_view kNameLabel = "__name__";

/// Label names and values, sorted by name; an empty value is the same as none.
class LabelSet {
 public:
  LabelSet() = default;
  explicit LabelSet(std::vector<std::pair<std::string, std::string>> labels);

  /// "" for a label that is not there.
  std::string_view get(std::string_view name) const;
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  /// With these labels alone, or with all but these.
  LabelSet only(const std::vector<std::string>& names) const;
  LabelSet without(const std::vector<std::string>& names) const;

  auto begin() const { return labels_.begin(); }
  auto end() const { return labels_.end(); }
  bool empty() const { return labels_.empty(); }

  auto operator<=>(const LabelSet&) const = default;

 private:
  std::vector<std::pair<std::string, std::string>> labels_;
};

enum class MatchKind : std::uint8_t { kEqual, kNotEqual, kRegex, kNotRegex };

/// `label="value"` and its kin. A regular expression is RE2's, matches whole values and was found
/// to be one when it was made. Copies share it; it is never changed.
class Matcher {
 public:
  static Result<Matcher> make(std::string label, MatchKind kind, std::string value);

  const std::string& label() const { return label_; }
  MatchKind kind() const { return kind_; }
  const std::string& value() const { return value_; }
  bool matches(std::string_view value) const;
  bool matches(const LabelSet& labels) const { return matches(labels.get(label_)); }

 private:
  struct Regex;
  Matcher(std::string label, MatchKind kind, std::string value)
      : label_(std::move(label)), kind_(kind), value_(std::move(value)) {}

  std::string label_;
  MatchKind kind_;
  std::string value_;
  std::shared_ptr<const Regex> regex_;  // owned by the copies of this matcher
};

}  // namespace sluice::tsdb::promql
