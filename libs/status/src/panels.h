#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::status {

/// A line of a chart: what it is called and the expression that draws it.
struct Line {
  std::string_view name;
  std::string_view expression;  // one series; $w stands for the window of rates
};

/// A chart.
struct Panel {
  std::string_view id;  // what the page knows it by
  std::string_view title;
  std::string_view unit;  // as the page writes it behind numbers; "s" is scaled to ms and µs
  std::string_view help;
  std::vector<Line> lines{};
  // Instead of lines: an expression with a series for each value of the labels, which name it.
  std::string_view by_label{};
  std::vector<std::string_view> labels{};
};

/// All charts in the order of the page. They and kServices are everything that is ever asked of
/// Prometheus: nothing of a request gets into a query.
std::span<const Panel> panels();

/// How each service is: lines named ready, seen and known, each by service.
std::string_view services_query();

/// The label by which answers name their line.
inline constexpr std::string_view kLineLabel = "line";

/// One query for all lines of a panel, each answer labelled with kLineLabel.
std::string query_of(const Panel& panel, std::chrono::milliseconds rate_window);

}  // namespace sluice::status
