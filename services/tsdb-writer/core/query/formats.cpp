#include "core/query/formats.h"

#include "core/query/format_writer.h"

#include <array>
#include <utility>
#include <vector>

namespace sluice::tsdb {
namespace {

struct FormatInfo {
  std::string_view name;
  std::string_view media_type;
};
constexpr std::array<FormatInfo, 4> kFormats = {
    {{"json", "application/json"},
     {"csv", "text/csv; charset=utf-8"},
     {"ndjson", "application/x-ndjson"},
     {"columnar", "application/vnd.sluice.columnar+json"}}};

class JsonFormat final : public JsonDocument {
 public:
  JsonFormat(const FormatOptions& options, WritePiece write, AnswerSize& size)
      : JsonDocument(options, std::move(write), size, "points") {}

  Result<> point(std::int64_t time_ms, std::span<const Value> values) override {
    count_point();
    begin_item();
    piece_ += '[';
    append_time(piece_, time_ms, true);
    for (const Value& value : values) {
      piece_ += ',';
      append_json(piece_, value);
    }
    piece_ += ']';
    return send_if_full();
  }
};

/// A line per point; the last line tells that it is the last.
class NdjsonFormat final : public FormatWriter {
 public:
  using FormatWriter::FormatWriter;

  Result<> begin(const AnswerHead& head) override {
    attributes_ = head.attributes;
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

std::unique_ptr<ResultSink> make_format(const FormatOptions& options, WritePiece write,
                                        AnswerSize& size) {
  switch (options.format) {
    case Format::kJson:
      return std::make_unique<JsonFormat>(options, std::move(write), size);
    case Format::kCsv:
      return make_csv_format(options, std::move(write), size);
    case Format::kNdjson:
      return std::make_unique<NdjsonFormat>(options, std::move(write), size);
    case Format::kColumnar:
      break;
  }
  return make_columnar_format(options, std::move(write), size);
}

}  // namespace sluice::tsdb
