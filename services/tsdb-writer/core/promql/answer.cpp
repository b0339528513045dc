#include "core/promql/answer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <format>

namespace sluice::tsdb::promql {
namespace {

constexpr std::size_t kPieceBytes = 32 * 1024;

/// Seconds, with milliseconds where there are some.
void append_time(std::string& out, std::int64_t ms) {
  if (ms < 0) out += '-';
  const std::int64_t magnitude = ms < 0 ? -ms : ms;
  out += std::to_string(magnitude / 1000);
  if (magnitude % 1000 != 0) out += std::format(".{:03}", magnitude % 1000);
}

void append_point(std::string& out, std::int64_t ms, double value) {
  out += '[';
  append_time(out, ms);
  out += ",\"";
  out += spelled(value);
  out += "\"]";
}

std::string opening(std::string_view type) {
  return std::format(R"({{"status":"success","data":{{"resultType":"{}","result":)", type);
}

void sort_by_labels(std::vector<Line>& lines) { std::ranges::sort(lines, {}, &Line::labels); }

/// A scalar over time is a series without labels.
void make_vector(Evaluated& value) {
  if (value.type != ValueType::kScalar) return;
  Line line;
  line.present.assign(value.scalar.size(), 1);
  line.values = std::move(value.scalar);
  value.lines.push_back(std::move(line));
}

}  // namespace

std::string spelled(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  std::array<char, 1100> text;  // the smallest double has 1,076 characters
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

std::string to_json(const LabelSet& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    if (out.size() > 1) out += ',';
    append_json_text(out, name);
    out += ':';
    append_json_text(out, value);
  }
  return out + '}';
}

std::string error_text(std::string_view type, std::string_view message) {
  std::string out = R"({"status":"error","errorType":)";
  append_json_text(out, type);
  out += ",\"error\":";
  append_json_text(out, message);
  return out + '}';
}

Result<> write_matrix(Evaluated value, const Steps& steps, const WritePiece& write) {
  make_vector(value);
  sort_by_labels(value.lines);
  std::string piece = opening("matrix") + '[';
  bool is_first = true;
  for (const Line& line : value.lines) {
    if (!is_first) piece += ',';
    is_first = false;
    piece += "{\"metric\":" + to_json(line.labels) + ",\"values\":[";
    bool is_first_point = true;
    for (std::size_t i = 0; i < line.values.size(); ++i) {
      if (line.present[i] == 0) continue;
      if (!is_first_point) piece += ',';
      is_first_point = false;
      append_point(piece, steps.at(i), line.values[i]);
      if (piece.size() < kPieceBytes) continue;
      SLUICE_TRY(write(piece));
      piece.clear();
    }
    piece += "]}";
  }
  piece += "]}}";
  return write(piece);
}

Result<> write_instant(Evaluated value, const Steps& steps, const WritePiece& write) {
  std::string piece;
  if (value.type == ValueType::kText) {
    piece = opening("string") + '[';
    append_time(piece, steps.start_ms);
    piece += ',';
    append_json_text(piece, value.text);
    piece += "]}}";
    return write(piece);
  }
  if (value.type == ValueType::kScalar) {
    piece = opening("scalar");
    append_point(piece, steps.start_ms, value.scalar.front());
    piece += "}}";
    return write(piece);
  }
  sort_by_labels(value.lines);
  piece = opening("vector") + '[';
  bool is_first = true;
  for (const Line& line : value.lines) {
    if (!is_first) piece += ',';
    is_first = false;
    piece += "{\"metric\":" + to_json(line.labels) + ",\"value\":";
    append_point(piece, steps.start_ms, line.values.front());
    piece += '}';
    if (piece.size() < kPieceBytes) continue;
    SLUICE_TRY(write(piece));
    piece.clear();
  }
  piece += "]}}";
  return write(piece);
}

}  // namespace sluice::tsdb::promql
