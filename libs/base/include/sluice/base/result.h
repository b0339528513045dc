#pragma once

#include <expected>
#include <string>
#include <utility>

#include <sluice/base/error.h>

namespace sluice {

/// What a fallible function returns.
template <typename T = void>
using Result = std::expected<T, Error>;

/// `return fail(ErrorCode::kNotFound, "no such fleet");`
inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error(code, std::move(message)));
}

/// `return fail(std::move(result.error()).context("open row sink"));`
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace sluice

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

/// Returns the error of `expression` (a Result) from the calling function, if it has one.
#define SLUICE_TRY(expression)                                     \
  do {                                                             \
    if (auto sluice_try_result = (expression); !sluice_try_result) \
      return ::sluice::fail(std::move(sluice_try_result).error()); \
  } while (false)

/// `SLUICE_TRY_ASSIGN(auto pool, Pool::open(config));`: the value, or the caller returns the error.
#define SLUICE_TRY_ASSIGN(declaration, expression) \
  SLUICE_TRY_ASSIGN_INNER(SLUICE_CONCAT(sluice_try_, __COUNTER__), declaration, expression)
#define SLUICE_TRY_ASSIGN_INNER(result, declaration, expression) \
  auto result = (expression);                                    \
  if (!result) return ::sluice::fail(std::move(result).error()); \
  declaration = *std::move(result)
