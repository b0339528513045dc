#pragma once

#include "core/payload/json_tokens.h"
#include "core/schema/flat_reader.h"

#include <string_view>

#include <sluice/base/utf8.h>

/// What the sources of FlatReader share. Small and everywhere, so compiled into each place.
namespace sluice::validator {

/// For where numbers are rare.
[[gnu::noinline]] inline const char* read_any_number(const char* at, JsonNumber& number) {
  return read_number(at, number);
}

[[gnu::always_inline]] inline FlatReader::At FlatReader::blanks(At at) const {
  return static_cast<unsigned char>(*at) > ' ' ? at : skip_blanks(at, end_);
}

/// To the value behind it; the end where there is none.
[[gnu::always_inline]] inline FlatReader::At FlatReader::colon(At at) const {
  if (*at != ':') {
    at = skip_blanks(at, end_);
    if (at >= end_ || *at != ':') return end_;
  }
  return blanks(at + 1);
}

/// A text in its quotes, as a view of the payload.
inline FlatReader::At FlatReader::text(At at, std::string_view& text) const {
  if (*at != '"') return nullptr;
  const JsonText read = read_text(at + 1, end_);
  if (read.end == nullptr) return nullptr;
  text = {at + 1, read.end};
  return read.is_ascii || is_valid_utf8(text) ? read.end + 1 : nullptr;
}

}  // namespace sluice::validator
