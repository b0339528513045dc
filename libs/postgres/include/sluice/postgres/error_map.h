#pragma once

#include <string_view>

#include <sluice/base/error.h>

namespace sluice::postgres {

/// The one table from PostgreSQL's SQLSTATE to our codes:
///   08xxx, 57P01 to 57P05, 25006, 28xxx, 3D000  kUnavailable        down, failing over, read-only,
///   misconfigured access 53xxx, 54xxx                         kResourceExhausted  connections,
///   memory, disk, program limits 57014, 55P03, 25P03, 25P04           kDeadlineExceeded statement,
///   lock, idle and transaction time-outs 40xxx                                kAborted
///   serialization failure, deadlock: try again 23505, 23P01, 42P04…42P07            kAlreadyExists
///   reason = the constraint's name 23503, 23001                         kFailedPrecondition reason
///   = the constraint's name 23502, 23514, 22xxx                  kInvalidArgument    reason = the
///   constraint's (or column's) name 42501                                kPermissionDenied   also:
///   a row that row security forbids 0A000                                kUnimplemented anything
///   else                        kInternal           a fault of the statement
/// 28xxx is not kUnauthenticated: it is this service that may not sign in, not the service's
/// caller.
ErrorCode code_of_sqlstate(std::string_view sqlstate);

}  // namespace sluice::postgres
