#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace re2 {
class RE2;
}

namespace sluice::validator {

/// Compiles a regular expression of ECMA-262, as JSON Schema writes them, for RE2: its time is
/// linear in the text, whatever the expression. kInvalidArgument where it is none, where RE2 cannot
/// have it (lookarounds, references back), or where RE2 would read it otherwise than ECMA-262 does.
Result<std::shared_ptr<const re2::RE2>> compile_ecma_regex(std::string_view expression);
/// Whether it matches somewhere in `text`.
bool matches(const re2::RE2& expression, std::string_view text);
/// As RE2 was given it.
const std::string& text_of(const re2::RE2& expression);

}  // namespace sluice::validator
