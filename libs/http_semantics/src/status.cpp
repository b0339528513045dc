#include <sluice/http_semantics/status.h>

#include <array>
#include <string_view>
#include <utility>

namespace sluice::http {
namespace {

// The one table from reasons to statuses; whoever adds a reason of this kind adds it here.
constexpr std::array<std::pair<std::string_view, int>, 13> kReasonStatus{{
    {reason::kMalformedRequest, 400},
    {reason::kMethodNotAllowed, 405},
    {reason::kNotAcceptable, 406},
    {reason::kRequestTimeout, 408},
    {reason::kPreconditionFailed, 412},
    {reason::kBodyTooLarge, 413},
    {reason::kTargetTooLong, 414},
    {reason::kUnsupportedMediaType, 415},
    {reason::kExpectationFailed, 417},
    {reason::kIdempotencyKeyReused, 422},
    {reason::kPreconditionRequired, 428},
    {reason::kHeadTooLarge, 431},
    {reason::kVersionNotSupported, 505},
}};

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kOutOfRange:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kAborted:
      return 409;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kUnimplemented:
      return 501;
    // Work given up, by a shutdown for instance, may be tried again elsewhere.
    case ErrorCode::kCancelled:
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kUnknown:
    case ErrorCode::kInternal:
    case ErrorCode::kDataLoss:
      return 500;
  }
  return 500;
}

}  // namespace

int status_of(const Error& error) {
  for (const auto& [text, status] : kReasonStatus) {
    if (error.reason() == text) return status;
  }
  return status_of(error.code());
}

ErrorCode code_of_status(int status) {
  switch (status) {
    case 401:
      return ErrorCode::kUnauthenticated;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
    case 410:
      return ErrorCode::kNotFound;
    case 405:
    case 501:
      return ErrorCode::kUnimplemented;
    case 408:
    case 504:
      return ErrorCode::kDeadlineExceeded;
    // Not kAborted, which would be retried: whether that helps, a bare 409 does not say.
    case 409:
    case 412:
    case 428:
      return ErrorCode::kFailedPrecondition;
    case 429:
      return ErrorCode::kResourceExhausted;
    case 502:
    case 503:
      return ErrorCode::kUnavailable;
    case 500:
      return ErrorCode::kInternal;
    default:
      break;
  }
  return status >= 400 && status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kUnknown;
}

std::string_view status_title(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

}  // namespace sluice::http
