#pragma once

#include <string_view>

#include <sluice/base/error.h>

namespace sluice::http {

/// Reasons that HTTP has a status of its own for. An Error with one of them answers that status;
/// every other Error answers by its code. The table is in status.cpp, once.
namespace reason {
inline constexpr std::string_view kMalformedRequest = "malformed_request";           // 400
inline constexpr std::string_view kMethodNotAllowed = "method_not_allowed";          // 405
inline constexpr std::string_view kNotAcceptable = "not_acceptable";                 // 406
inline constexpr std::string_view kRequestTimeout = "request_timeout";               // 408
inline constexpr std::string_view kPreconditionFailed = "precondition_failed";       // 412
inline constexpr std::string_view kBodyTooLarge = "body_too_large";                  // 413
inline constexpr std::string_view kTargetTooLong = "target_too_long";                // 414
inline constexpr std::string_view kUnsupportedMediaType = "unsupported_media_type";  // 415
inline constexpr std::string_view kExpectationFailed = "expectation_failed";         // 417
inline constexpr std::string_view kIdempotencyKeyReused = "idempotency_key_reused";  // 422
inline constexpr std::string_view kPreconditionRequired = "precondition_required";   // 428
inline constexpr std::string_view kHeadTooLarge = "head_too_large";                  // 431
inline constexpr std::string_view kVersionNotSupported = "version_not_supported";    // 505
}  // namespace reason

/// The HTTP status an error answers with.
int status_of(const Error& error);
/// The error a received status stands for, for clients.
ErrorCode code_of_status(int status);
/// "Not Found": the title of an answer and its reason phrase; "" when unknown.
std::string_view status_title(int status);

}  // namespace sluice::http
