#include "core/query/formats.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>

namespace sluice::tsdb {
namespace {

// A page or two of a socket's buffer: larger pieces wait longer, smaller ones cost calls.
constexpr std::size_t kPieceBytes = 32 * 1024;

struct FormatInfo {
  std::string_view name;
  std::string_view media_type;
};
constexpr std::array<FormatInfo, 4> kFormats = {
    {{"json", "application/json"},
     {"csv", "text/csv; charset=utf-8"},
     {"ndjson", "application/x-ndjson"},
     {"columnar", "application/vnd.sluice.columnar+json"}}};

template <typename Integer>
void append_integer(std::string& out, Integer value) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

/// What all formats have in common.
class Writer : public ResultSink {
 public:
  Writer(const FormatOptions& options, WritePiece write, AnswerSize& size)
      : write_(std::move(write)), size_(size), with_iso_times_(options.with_iso_times) {}

 protected:
  void append_time(std::string& out, std::int64_t ms, bool is_json) const {
    if (!with_iso_times_) return append_integer(out, ms);
    if (is_json) out += '"';
    append_rfc3339(out, WallTime(std::chrono::milliseconds(ms)));
    if (is_json) out += '"';
  }

  void append_member(std::string& out, std::string_view name, std::string_view text) const {
    out += ",\"";
    out += name;
    out += "\":";
    append_json_text(out, text);
  }

  void append_labels(std::string& out, const SeriesHead& head) const {
    out += "\"metric\":";
    append_json_text(out, head.metric);
    if (!head.device.empty()) append_member(out, "device", head.device);
    if (head.fleet) append_member(out, "fleet", *head.fleet);
    if (head.device_type) append_member(out, "device_type", *head.device_type);
  }

  void append_series(std::string& out, const SeriesHead& head) const {
    out += '{';
    append_labels(out, head);
    append_member(out, "unit", head.unit);
    append_member(out, "type", head.type);
    append_member(out, "tier", head.tier);
  }

  void append_answer(std::string& out, const AnswerHead& head) const {
    out += "\"from\":";
    append_time(out, head.from.time_since_epoch().count(), true);
    out += ",\"to\":";
    append_time(out, head.to.time_since_epoch().count(), true);
    append_member(out, "resolution", head.resolution);
    out += ",\"tiers\":[";
    for (std::size_t i = 0; i < head.tiers.size(); ++i) {
      if (i != 0) out += ',';
      append_json_text(out, head.tiers[i]);
    }
    out += "],\"columns\":[\"time\"";
    for (const std::string& column : head.columns) {
      out += ',';
      append_json_text(out, column);
    }
    out += ']';
  }

  Result<> send_if_full() { return piece_.size() < kPieceBytes ? Result<>() : send(); }

  Result<> send() {
    size_.bytes += piece_.size();
    const Result<> sent = write_(piece_);
    piece_.clear();
    return sent;
  }

  void count_point() { ++size_.points; }

  std::string piece_;

 private:
  WritePiece write_;
  AnswerSize& size_;
  const bool with_iso_times_;
};

class JsonFormat final : public Writer {
 public:
  using Writer::Writer;

  Result<> begin(const AnswerHead& head) override {
    piece_ += '{';
    append_answer(piece_, head);
    piece_ += ",\"series\":[";
    return {};
  }
  Result<> begin_series(const SeriesHead& head) override {
    if (has_series_) piece_ += ',';
    has_series_ = true;
    has_points_ = false;
    append_series(piece_, head);
    piece_ += ",\"points\":[";
    return {};
  }
  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    count_point();
    if (has_points_) piece_ += ',';
    has_points_ = true;
    piece_ += '[';
    append_time(piece_, time_ms, true);
    for (const Value& value : values) {
      piece_ += ',';
      append_json(piece_, value);
    }
    piece_ += ']';
    return send_if_full();
  }
  Result<> end_series(std::optional<std::int64_t> next_from) override {
    piece_ += ']';
    if (next_from) {
      piece_ += ",\"next_from\":";
      append_time(piece_, *next_from, true);
    }
    piece_ += '}';
    return send_if_full();
  }
  Result<> end() override {
    piece_ += "]}\n";
    return send();
  }

 private:
  bool has_series_ = false;
  bool has_points_ = false;
};

/// A line per point; the last line tells that it is the last.
class NdjsonFormat final : public Writer {
 public:
  using Writer::Writer;

  Result<> begin(const AnswerHead& head) override {
    columns_ = head.columns;
    end_ = "{\"end\":true,";
    append_answer(end_, head);
    end_ += ",\"cut\":[";
    return {};
  }
  Result<> begin_series(const SeriesHead& head) override {
    labels_ = "{";
    append_labels(labels_, head);
    labels_ += ",\"time\":";
    return {};
  }
  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    count_point();
    piece_ += labels_;
    append_time(piece_, time_ms, true);
    for (std::size_t i = 0; i < values.size(); ++i) {
      piece_ += ",\"";
      piece_ += columns_[i];
      piece_ += "\":";
      append_json(piece_, values[i]);
    }
    piece_ += "}\n";
    return send_if_full();
  }
  Result<> end_series(std::optional<std::int64_t> next_from) override {
    if (!next_from) return {};
    if (has_cut_) end_ += ',';
    has_cut_ = true;
    end_.append(labels_, 0, labels_.size() - std::string_view(",\"time\":").size());
    end_ += ",\"next_from\":";
    append_time(end_, *next_from, true);
    end_ += '}';
    return {};
  }
  Result<> end() override {
    piece_ += end_;
    piece_ += "]}\n";
    return send();
  }

 private:
  std::vector<std::string> columns_;
  std::string labels_;
  std::string end_;
  bool has_cut_ = false;
};

/// RFC 4180.
class CsvFormat final : public Writer {
 public:
  using Writer::Writer;

  Result<> begin(const AnswerHead& head) override {
    piece_ += "device,fleet,device_type,metric,time";
    for (const std::string& column : head.columns) {
      piece_ += ',';
      piece_ += column;
    }
    piece_ += "\r\n";
    return {};
  }
  Result<> begin_series(const SeriesHead& head) override {
    labels_.clear();
    const std::string none;
    for (const std::string* label : {&head.device, head.fleet ? &*head.fleet : &none,
                                     head.device_type ? &*head.device_type : &none, &head.metric}) {
      append_field(labels_, *label);
      labels_ += ',';
    }
    return {};
  }
  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    count_point();
    piece_ += labels_;
    append_time(piece_, time_ms, false);
    for (const Value& value : values) {
      piece_ += ',';
      append_value(value);
    }
    piece_ += "\r\n";
    return send_if_full();
  }
  Result<> end_series(std::optional<std::int64_t>) override { return {}; }
  Result<> end() override { return send(); }

 private:
  static void append_field(std::string& out, std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
      out += text;
      return;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"') out += '"';
      out += c;
    }
    out += '"';
  }
  void append_value(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      append_field(piece_, *text);
    } else if (const auto* number = std::get_if<double>(&value)) {
      append_double(piece_, *number);
    } else if (!std::holds_alternative<std::monostate>(value)) {
      append_json(piece_, value);
    }
  }

  std::string labels_;
};

/// Like JSON, but each series in blocks of one array for each column.
class ColumnarFormat final : public Writer {
 public:
  using Writer::Writer;

  Result<> begin(const AnswerHead& head) override {
    columns_.resize(head.columns.size() + 1);
    names_ = {"time"};
    names_.insert(names_.end(), head.columns.begin(), head.columns.end());
    piece_ += '{';
    append_answer(piece_, head);
    piece_ += ",\"series\":[";
    return {};
  }
  Result<> begin_series(const SeriesHead& head) override {
    if (has_series_) piece_ += ',';
    has_series_ = true;
    has_blocks_ = false;
    append_series(piece_, head);
    piece_ += ",\"blocks\":[";
    return {};
  }
  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    count_point();
    for (std::string& column : columns_) {
      if (!column.empty()) column += ',';
    }
    append_time(columns_[0], time_ms, true);
    for (std::size_t i = 0; i < values.size(); ++i) append_json(columns_[i + 1], values[i]);
    return ++points_ < kColumnarBlock ? Result<>() : end_block();
  }
  Result<> end_series(std::optional<std::int64_t> next_from) override {
    if (points_ != 0) SLUICE_TRY(end_block());
    piece_ += ']';
    if (next_from) {
      piece_ += ",\"next_from\":";
      append_time(piece_, *next_from, true);
    }
    piece_ += '}';
    return send_if_full();
  }
  Result<> end() override {
    piece_ += "]}\n";
    return send();
  }

 private:
  Result<> end_block() {
    if (has_blocks_) piece_ += ',';
    has_blocks_ = true;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      piece_ += i == 0 ? "{\"" : ",\"";
      piece_ += names_[i];
      piece_ += "\":[";
      piece_ += columns_[i];
      piece_ += ']';
      columns_[i].clear();
    }
    piece_ += '}';
    points_ = 0;
    return send_if_full();
  }

  std::vector<std::string> names_;
  std::vector<std::string> columns_;
  std::size_t points_ = 0;
  bool has_series_ = false;
  bool has_blocks_ = false;
};

}  // namespace

std::string_view to_string(Format format) {
  return kFormats[static_cast<std::size_t>(format)].name;
}

std::string_view media_type(Format format) {
  return kFormats[static_cast<std::size_t>(format)].media_type;
}

Result<Format> parse_format(std::string_view text) {
  for (std::size_t i = 0; i < kFormats.size(); ++i) {
    if (kFormats[i].name == text) return static_cast<Format>(i);
  }
  return fail(ErrorCode::kInvalidArgument, "must be one of json, csv, ndjson, columnar");
}

void append_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
  } else {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
  }
}

void append_json_text(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json(std::string& out, const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    const bool is_finite = std::isfinite(*number);
    if (!is_finite) out += '"';
    append_double(out, *number);
    if (!is_finite) out += '"';
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    append_integer(out, *integer);
  } else if (const auto* truth = std::get_if<bool>(&value)) {
    out += *truth ? "true" : "false";
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    append_json_text(out, *text);
  } else {
    out += "null";
  }
}

std::unique_ptr<ResultSink> make_format(const FormatOptions& options, WritePiece write,
                                        AnswerSize& size) {
  switch (options.format) {
    case Format::kJson:
      return std::make_unique<JsonFormat>(options, std::move(write), size);
    case Format::kCsv:
      return std::make_unique<CsvFormat>(options, std::move(write), size);
    case Format::kNdjson:
      return std::make_unique<NdjsonFormat>(options, std::move(write), size);
    case Format::kColumnar:
      break;
  }
  return std::make_unique<ColumnarFormat>(options, std::move(write), size);
}

}  // namespace sluice::tsdb
