#include "json_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

#include <sluice/base/utf8.h>

namespace sluice::log_detail {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

/// Whether a byte stands for itself inside a JSON string.
bool is_plain(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<std::uint8_t>(c);
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 0xF];
}

template <typename Number>
void append_number(std::string& out, Number number) {
  char digits[32];  // the longest is a double's shortest form: 24
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text, std::size_t limit) {
  out += '"';
  std::size_t done = 0;
  while (done < text.size()) {
    // Runs of plain bytes go over in one piece: nearly every value is one run.
    std::size_t run = done;
    const std::size_t run_end = std::min(text.size(), limit);
    while (run < run_end && is_plain(text[run])) ++run;
    out.append(text, done, run - done);
    done = run;
    if (done == text.size()) break;

    const std::size_t size = utf8_sequence_size(text.substr(done));
    const std::size_t taken = size == 0 ? 1 : size;
    if (done + taken > limit) {
      out += kEllipsis;
      break;
    }
    if (size == 0) {
      out += kReplacement;
    } else if (size == 1) {
      append_escape(out, text[done]);
    } else {
      out.append(text, done, size);
    }
    done += taken;
  }
  out += '"';
}

void append_json_value(std::string& out, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    append_json_string(out, *text, kMaxLogValueSize);
  } else if (const auto* truth = std::get_if<bool>(&value)) {
    out += *truth ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    append_number(out, *integer);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    append_number(out, *natural);
  } else if (const double number = std::get<double>(value); std::isfinite(number)) {
    append_number(out, number);
  } else {
    out += std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  }
}

}  // namespace sluice::log_detail
