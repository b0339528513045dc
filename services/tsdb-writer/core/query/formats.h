#pragma once

#include "core/query/result_sink.h"
#include "core/query/value_text.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::tsdb {

enum class Format : std::uint8_t { kJson, kCsv, kNdjson, kColumnar };
/// "json", "csv", "ndjson", "columnar".
std::string_view to_string(Format format);
Result<Format> parse_format(std::string_view text);
/// "application/json", "text/csv; charset=utf-8" and so on.
std::string_view media_type(Format format);

struct FormatOptions {
  Format format = Format::kJson;
  /// Times as RFC 3339 instead of milliseconds since 1970.
  bool with_iso_times = false;
};

/// Takes a piece of the answer; may wait.
using WritePiece = std::function<Result<>(std::string_view)>;

/// What an answer came to.
struct AnswerSize {
  std::uint64_t points = 0;
  std::uint64_t bytes = 0;
};

/// Writes an answer in pieces of some 32 KiB. What it holds is one piece, for columnar one block of
/// kColumnarBlock points.
std::unique_ptr<ResultSink> make_format(const FormatOptions& options, WritePiece write,
                                        AnswerSize& size);
inline constexpr std::size_t kColumnarBlock = 4096;

}  // namespace sluice::tsdb
