#include "core/query/format_writer.h"

#include <utility>

namespace sluice::tsdb {
namespace {

/// RFC 4180.
class CsvFormat final : public FormatWriter {
 public:
  using FormatWriter::FormatWriter;

  Result<> begin(const AnswerHead& head) override {
    piece_ += "device,fleet,device_type,metric";
    for (const std::string& name : head.attributes) {
      piece_ += ',';
      append_field(piece_, "attribute." + name);
    }
    piece_ += ",time";
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
    for (const std::string& value : head.attributes) {
      append_field(labels_, value);
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
class ColumnarFormat final : public JsonDocument {
 public:
  ColumnarFormat(const FormatOptions& options, WritePiece write, AnswerSize& size)
      : JsonDocument(options, std::move(write), size, "blocks") {}

  Result<> begin(const AnswerHead& head) override {
    columns_.resize(head.columns.size() + 1);
    names_ = {"time"};
    names_.insert(names_.end(), head.columns.begin(), head.columns.end());
    return JsonDocument::begin(head);
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
    return JsonDocument::end_series(next_from);
  }

 private:
  Result<> end_block() {
    begin_item();
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
};

}  // namespace

std::unique_ptr<ResultSink> make_csv_format(const FormatOptions& options, WritePiece write,
                                            AnswerSize& size) {
  return std::make_unique<CsvFormat>(options, std::move(write), size);
}

std::unique_ptr<ResultSink> make_columnar_format(const FormatOptions& options, WritePiece write,
                                                 AnswerSize& size) {
  return std::make_unique<ColumnarFormat>(options, std::move(write), size);
}

}  // namespace sluice::tsdb
