#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// What kind of failure it is. The values are gRPC's canonical set, so that one table each maps
/// them to gRPC, HTTP, MQTT and CoAP. Callers branch on the code, never on the text.
enum class ErrorCode : std::uint8_t {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// "not_found" and the like: the stable spelling for logs and metric labels.
std::string_view to_string(ErrorCode code);

/// Whether the same call may succeed later without anybody changing it. Decided here once.
constexpr bool is_retryable(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kAborted || code == ErrorCode::kResourceExhausted;
}

/// One fault of one input: where it is (a JSON pointer, a setting's name, a field path) and what is
/// wrong with it, in words its sender can act on.
struct FieldFault {
  std::string field;
  std::string message;

  bool operator==(const FieldFault&) const = default;
};

/// A failure that its caller is expected to handle. A bug is not an error: see check.h.
class Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }

  /// The whole story, outermost context first: "open row sink: connect: refused".
  const std::string& message() const { return message_; }

  /// The faulty inputs by name; empty where the failure is not about input.
  const std::vector<FieldFault>& faults() const { return faults_; }

  /// A stable machine-readable reason below the code, such as "token_expired"; may be empty.
  const std::string& reason() const { return reason_; }

  /// Adds what was being attempted, when passing the error up.
  Error context(std::string_view what) const& { return Error(*this).context(what); }
  Error context(std::string_view what) && {
    message_.insert(0, ": ");
    message_.insert(0, what);
    return std::move(*this);
  }

  Error with_fault(std::string field, std::string message) && {
    faults_.push_back({std::move(field), std::move(message)});
    return std::move(*this);
  }
  Error with_faults(std::vector<FieldFault> faults) && {
    faults_ = std::move(faults);
    return std::move(*this);
  }
  Error with_reason(std::string reason) && {
    reason_ = std::move(reason);
    return std::move(*this);
  }

 private:
  ErrorCode code_;
  std::string message_;
  std::string reason_;
  std::vector<FieldFault> faults_;
};

}  // namespace sluice
