#include "report.h"

#include <array>
#include <format>

namespace sluice::load {

namespace {

double as_us(std::chrono::nanoseconds value) { return static_cast<double>(value.count()) / 1e3; }

/// Reasons are words of ours or of libs/mqtt; a quotation mark in one would be the only danger.
std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

constexpr std::array<std::pair<std::string_view, double>, 4> kQuantiles{
    {{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}}};

}  // namespace

void Report::add(std::string_view key, double value, std::string_view label) {
  const std::string text =
      value < 100 ? std::format("{:.3f}", value) : std::format("{:.0f}", value);
  figures_.push_back({std::string(key), std::format("{:.4f}", value),
                      label.empty() ? "" : std::format("{} {}", text, label)});
}

void Report::add_count(std::string_view key, std::uint64_t value, std::string_view label) {
  const auto number = std::to_string(value);
  figures_.push_back(
      {std::string(key), number, label.empty() ? "" : std::format("{} {}", number, label)});
}

void Report::add_note(std::string_view key, std::string_view text) {
  figures_.push_back({std::string(key), json_text(text), std::format("{}: {}", key, text)});
}

void Report::add_latency(std::string_view key, const swarm::Histogram& histogram) {
  if (histogram.count() == 0) return;
  std::string text = std::format("{} us", key);
  for (const auto& [name, share] : kQuantiles) {
    const double value = as_us(histogram.quantile(share));
    figures_.push_back({std::format("{}_{}_us", key, name), std::format("{:.1f}", value), ""});
    text += std::format(" {} {:.0f}", name, value);
  }
  figures_.push_back({std::format("{}_max_us", key), std::format("{:.1f}", as_us(histogram.max())),
                      std::format("{} max {:.0f}", text, as_us(histogram.max()))});
}

void Report::add_outcome(const Tally& tally) {
  failures_.assign(tally.failures.begin(), tally.failures.end());
  inconsistencies_.assign(tally.inconsistencies.begin(), tally.inconsistencies.end());
}

std::string Report::line() const {
  std::string text = scenario_ + ": ";
  for (std::string_view separator; const Figure& figure : figures_) {
    if (figure.text.empty()) continue;
    text += separator;
    text += figure.text;
    separator = ", ";
  }
  for (const auto& [reason, count] : failures_) text += std::format("; {} {}", count, reason);
  for (const auto& [what, count] : inconsistencies_) {
    text += std::format("; INCONSISTENT: {} {}", count, what);
  }
  if (!incomplete_.empty()) text += "; INCOMPLETE: " + incomplete_;
  return text;
}

std::string Report::json_of(const Counts& counts) {
  std::string text = "{";
  for (std::string_view separator; const auto& [name, count] : counts) {
    text += std::format("{}{}: {}", separator, json_text(name), count);
    separator = ", ";
  }
  return text + "}";
}

std::string Report::json() const {
  std::string text = "{\"scenario\": " + json_text(scenario_);
  for (const Figure& figure : figures_) {
    text += std::format(", {}: {}", json_text(figure.key), figure.value);
  }
  text += std::format(", \"failures\": {}, \"inconsistencies\": {}", json_of(failures_),
                      json_of(inconsistencies_));
  if (!incomplete_.empty()) text += ", \"incomplete\": " + json_text(incomplete_);
  return text + "}";
}

int Report::exit_status() const {
  if (!inconsistencies_.empty()) return 2;
  return incomplete_.empty() ? 0 : 1;
}

}  // namespace sluice::load
