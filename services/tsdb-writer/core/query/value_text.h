#pragma once

#include "core/query/model.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tsdb {

// Values as JSON. Doubles are the shortest text that reads as the same bits; "NaN", "Infinity" and
// "-Infinity" are texts, since JSON has no such numbers; 64-bit integers are exact.
void append_json(std::string& out, const Value& value);
void append_json_text(std::string& out, std::string_view text);
/// Without the quotes of what is no number.
void append_double(std::string& out, double value);
void append_integer(std::string& out, std::int64_t value);

}  // namespace sluice::tsdb
