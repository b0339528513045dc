#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/base/utf8.h>
#include <sluice/grpc/raw.h>

#include <rpc_status.pb.h>

namespace sluice::rpc {
namespace {

constexpr std::string_view kErrorInfoType = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kBadRequestType = "type.googleapis.com/google.rpc.BadRequest";
constexpr std::string_view kDomain = "sluice";

// A status travels in trailers, of which gRPC takes 8 KiB by default: a status beyond that reaches
// the caller as some other error. Escaping makes the message up to three times as long, and the
// details hold it again.
constexpr std::size_t kMaxMessageSize = 1024;
constexpr std::size_t kMaxFaultsSize = 2048;

/// Valid UTF-8, which protobuf's strings must be, of a bounded size.
std::string clean(std::string_view text, std::size_t max_size) {
  return replace_invalid_utf8(text.substr(0, max_size));
}

template <typename Detail>
void add_detail(wire::Status& status, std::string_view type, const Detail& detail) {
  auto* any = status.add_details();
  any->set_type_url(std::string(type));
  any->set_value(detail.SerializeAsString());
}

ErrorCode code_of(int code) {
  return code >= 1 && code <= 16 ? static_cast<ErrorCode>(code) : ErrorCode::kUnknown;
}

/// What the details say beyond code and message. They come from another program: whatever cannot be
/// read is left out.
Error with_details(Error error, const std::string& bytes) {
  wire::Status status;
  if (bytes.empty() || !status.ParseFromString(bytes)) return error;
  for (const auto& any : status.details()) {
    if (any.type_url() == kErrorInfoType) {
      if (wire::ErrorInfo info; info.ParseFromString(any.value())) {
        error = std::move(error).with_reason(info.reason());
      }
    } else if (any.type_url() == kBadRequestType) {
      wire::BadRequest request;
      if (!request.ParseFromString(any.value())) continue;
      for (const auto& violation : request.field_violations()) {
        error = std::move(error).with_fault(violation.field(), violation.description());
      }
    }
  }
  return error;
}

}  // namespace

grpc::Status to_status(const Error& error) {
  const auto code = static_cast<grpc::StatusCode>(error.code());
  const std::string message = clean(error.message(), kMaxMessageSize);
  if (error.reason().empty() && error.faults().empty()) return {code, message};

  wire::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message(message);
  if (!error.reason().empty()) {
    wire::ErrorInfo info;
    info.set_reason(clean(error.reason(), kMaxMessageSize));
    info.set_domain(std::string(kDomain));
    add_detail(status, kErrorInfoType, info);
  }
  wire::BadRequest request;
  std::size_t size = 0;
  for (const FieldFault& fault : error.faults()) {
    size += fault.field.size() + fault.message.size();
    if (size > kMaxFaultsSize) break;
    auto* violation = request.add_field_violations();
    violation->set_field(clean(fault.field, kMaxFaultsSize));
    violation->set_description(clean(fault.message, kMaxFaultsSize));
  }
  if (request.field_violations_size() > 0) add_detail(status, kBadRequestType, request);
  return {code, message, status.SerializeAsString()};
}

Result<> from_status(const grpc::Status& status) {
  if (status.ok()) return {};
  return fail(with_details(Error(code_of(status.error_code()), status.error_message()),
                           status.error_details()));
}

}  // namespace sluice::rpc
