#include "core/query/fill.h"

#include <span>

namespace sluice::tsdb {
namespace {

/// A number, be it an integer.
const double* number_in(const Value& value, double& as_double) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    as_double = static_cast<double>(*integer);
    return &as_double;
  }
  return std::get_if<double>(&value);
}

class Filler {
 public:
  Filler(const WindowTable& table, const FillRule& rule, ResultSink& sink)
      : table_(table), rule_(rule), sink_(sink), row_(rule.columns) {}

  Result<> tell() {
    std::size_t next = 0;  // the first window with values that was not told
    for (std::int64_t at = rule_.from; at < rule_.to; at += rule_.width) {
      if (next < table_.times.size() && table_.times[next] == at) {
        SLUICE_TRY(sink_.point(at, values(next)));
        ++next;
        continue;
      }
      for (std::size_t column = 0; column < rule_.columns; ++column) {
        row_[column] = filled(at, next, column);
      }
      SLUICE_TRY(sink_.point(at, row_));
    }
    return {};
  }

 private:
  std::span<const Value> values(std::size_t row) const {
    return std::span(table_.values).subspan(row * rule_.columns, rule_.columns);
  }

  Value filled(std::int64_t at, std::size_t next, std::size_t column) const {
    if (rule_.fill == Fill::kNull || next == 0) return {};
    const Value& before = values(next - 1)[column];
    if (rule_.fill == Fill::kPrevious) return before;
    if (next == table_.times.size()) return {};
    double left_space = 0;
    double right_space = 0;
    const double* left = number_in(before, left_space);
    const double* right = number_in(values(next)[column], right_space);
    if (left == nullptr || right == nullptr) return {};
    const auto since = static_cast<double>(at - table_.times[next - 1]);
    const auto whole = static_cast<double>(table_.times[next] - table_.times[next - 1]);
    // So and not left + (right - left) * part, which overflows between huge values.
    return *left * (1 - since / whole) + *right * (since / whole);
  }

  const WindowTable& table_;
  const FillRule& rule_;
  ResultSink& sink_;
  std::vector<Value> row_;
};

}  // namespace

Result<> tell_filled(const WindowTable& table, const FillRule& rule, ResultSink& sink) {
  if (rule.fill != Fill::kNone) return Filler(table, rule, sink).tell();
  for (std::size_t i = 0; i < table.times.size(); ++i) {
    SLUICE_TRY(sink.point(table.times[i],
                          std::span(table.values).subspan(i * rule.columns, rule.columns)));
  }
  return {};
}

}  // namespace sluice::tsdb
