#pragma once

#include "core/query/formats.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>

// Inside of formats.h.
namespace sluice::tsdb {

/// What all formats have in common.
class FormatWriter : public ResultSink {
 public:
  FormatWriter(const FormatOptions& options, WritePiece write, AnswerSize& size)
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
    if (head.attributes.empty()) return;
    out += ",\"attributes\":{";
    for (std::size_t i = 0; i < head.attributes.size(); ++i) {
      if (i != 0) out += ',';
      append_json_text(out, attributes_[i]);
      out += ':';
      append_json_text(out, head.attributes[i]);
    }
    out += '}';
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
    if (head.available_from) {
      out += ",\"available_from\":";
      append_time(out, head.available_from->time_since_epoch().count(), true);
    }
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

  // A page or two of a socket's buffer: larger pieces wait longer, smaller ones cost calls.
  static constexpr std::size_t kPieceBytes = 32 * 1024;

  Result<> send_if_full() { return piece_.size() < kPieceBytes ? Result<>() : send(); }

  Result<> send() {
    size_.bytes += piece_.size();
    const Result<> sent = write_(piece_);
    piece_.clear();
    return sent;
  }

  void count_point() { ++size_.points; }

  std::string piece_;
  /// Names of SeriesHead::attributes.
  std::vector<std::string> attributes_;

 private:
  WritePiece write_;
  AnswerSize& size_;
  const bool with_iso_times_;
};

/// One JSON document: the answer's head, its series, and in each a list of items.
class JsonDocument : public FormatWriter {
 public:
  /// `list` is the name of a series' items.
  JsonDocument(const FormatOptions& options, WritePiece write, AnswerSize& size,
               std::string_view list)
      : FormatWriter(options, std::move(write), size), list_(list) {}

  Result<> begin(const AnswerHead& head) override {
    attributes_ = head.attributes;
    piece_ += '{';
    append_answer(piece_, head);
    piece_ += ",\"series\":[";
    return {};
  }
  Result<> begin_series(const SeriesHead& head) override {
    if (has_series_) piece_ += ',';
    has_series_ = true;
    has_items_ = false;
    append_series(piece_, head);
    piece_ += ",\"";
    piece_ += list_;
    piece_ += "\":[";
    return {};
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

 protected:
  /// Before each item of a series.
  void begin_item() {
    if (has_items_) piece_ += ',';
    has_items_ = true;
  }

 private:
  const std::string_view list_;
  bool has_series_ = false;
  bool has_items_ = false;
};

/// RFC 4180.
std::unique_ptr<ResultSink> make_csv_format(const FormatOptions& options, WritePiece write,
                                            AnswerSize& size);
/// Like JSON, but each series in blocks of one array for each column.
std::unique_ptr<ResultSink> make_columnar_format(const FormatOptions& options, WritePiece write,
                                                 AnswerSize& size);

}  // namespace sluice::tsdb
