#pragma once

#include <string_view>

namespace sluice {

/// Prints `BUG:` with the place and aborts. For what can only be a programming fault.
[[noreturn]] void report_bug(std::string_view expression, const char* file, int line);

}  // namespace sluice

/// A condition that only a bug can break; stays on in release. Never for input from outside.
#define SLUICE_CHECK(condition)                             \
  do {                                                      \
    if (!(condition)) [[unlikely]]                          \
      ::sluice::report_bug(#condition, __FILE__, __LINE__); \
  } while (false)
