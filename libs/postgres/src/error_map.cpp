#include <sluice/postgres/error_map.h>

namespace sluice::postgres {

ErrorCode code_of_sqlstate(std::string_view sqlstate) {
  const std::string_view group = sqlstate.substr(0, 2);
  if (group == "08" || group == "28") return ErrorCode::kUnavailable;
  if (sqlstate.starts_with("57P0") && sqlstate >= "57P01" && sqlstate <= "57P05") {
    return ErrorCode::kUnavailable;
  }
  if (sqlstate == "25006" || sqlstate == "3D000") return ErrorCode::kUnavailable;
  if (group == "53") return ErrorCode::kResourceExhausted;
  if (sqlstate == "57014" || sqlstate == "55P03" || sqlstate == "25P03" || sqlstate == "25P04") {
    return ErrorCode::kDeadlineExceeded;
  }
  if (group == "40") return ErrorCode::kAborted;
  if (sqlstate == "23505" || sqlstate == "23P01") return ErrorCode::kAlreadyExists;
  if (sqlstate >= "42P04" && sqlstate <= "42P07") return ErrorCode::kAlreadyExists;
  if (sqlstate == "23503" || sqlstate == "23001") return ErrorCode::kFailedPrecondition;
  // 54: too long for an index, nested too deep. It stays so, however often it is tried.
  if (sqlstate == "23502" || sqlstate == "23514" || group == "22" || group == "54")
    return ErrorCode::kInvalidArgument;
  if (sqlstate == "42501") return ErrorCode::kPermissionDenied;
  if (sqlstate == "0A000") return ErrorCode::kUnimplemented;
  return ErrorCode::kInternal;
}

}  // namespace sluice::postgres
