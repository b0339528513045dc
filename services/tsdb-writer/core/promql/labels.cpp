#include "core/promql/labels.h"

#include <algorithm>
#include <format>

#include <re2/re2.h>

namespace sluice::tsdb::promql {

LabelSet::LabelSet(std::vector<std::pair<std::string, std::string>> labels)
    : labels_(std::move(labels)) {
  std::erase_if(labels_, [](const auto& label) { return label.second.empty(); });
  std::ranges::sort(labels_);
}

std::string_view LabelSet::get(std::string_view name) const {
  for (const auto& [each, value] : labels_) {
    if (each == name) return value;
  }
  return {};
}

void LabelSet::set(std::string_view name, std::string value) {
  remove(name);
  if (value.empty()) return;
  labels_.emplace_back(std::string(name), std::move(value));
  std::ranges::sort(labels_);
}

void LabelSet::remove(std::string_view name) {
  std::erase_if(labels_, [&](const auto& label) { return label.first == name; });
}

LabelSet LabelSet::only(const std::vector<std::string>& names) const {
  LabelSet kept;
  for (const auto& label : labels_) {
    if (std::ranges::contains(names, label.first)) kept.labels_.push_back(label);
  }
  return kept;
}

LabelSet LabelSet::without(const std::vector<std::string>& names) const {
  LabelSet kept;
  for (const auto& label : labels_) {
    if (!std::ranges::contains(names, label.first)) kept.labels_.push_back(label);
  }
  return kept;
}

struct Matcher::Regex {
  explicit Regex(const std::string& pattern, const RE2::Options& options)
      : compiled(pattern, options) {}
  RE2 compiled;
};

Result<Matcher> Matcher::make(std::string label, MatchKind kind, std::string value) {
  Matcher matcher(std::move(label), kind, std::move(value));
  if (kind == MatchKind::kRegex || kind == MatchKind::kNotRegex) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);  // as Prometheus compiles them
    options.set_max_mem(std::int64_t{1} << 20);
    auto regex = std::make_shared<const Regex>(matcher.value_, options);
    if (!regex->compiled.ok()) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("invalid regular expression for {}: {}", matcher.label_,
                              regex->compiled.error()));
    }
    matcher.regex_ = std::move(regex);
  }
  return matcher;
}

bool Matcher::matches(std::string_view value) const {
  const re2::StringPiece text(value.data(), value.size());
  switch (kind_) {
    case MatchKind::kEqual:
      return value == value_;
    case MatchKind::kNotEqual:
      return value != value_;
    case MatchKind::kRegex:
      return RE2::FullMatch(text, regex_->compiled);
    case MatchKind::kNotRegex:
      return !RE2::FullMatch(text, regex_->compiled);
  }
  return false;
}

}  // namespace sluice::tsdb::promql
