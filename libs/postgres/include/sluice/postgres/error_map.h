#pragma once

#include <string_view>

#include <sluice/base/error.h>

namespace sluice::postgres {

/// The one table from PostgreSQL's SQLSTATE to our codes:
///   kUnavailable         08xxx, 57P01 to 57P05, 25006, 28xxx, 3D000: down, failing over,
///                        read-only, misconfigured access
///   kResourceExhausted   53xxx: connections, memory, disk
///   kDeadlineExceeded    57014, 55P03, 25P03, 25P04: time-outs of statement, lock, idleness and
///                        transaction
///   kAborted             40xxx: serialization failure, deadlock: try again
///   kAlreadyExists       23505, 23P01, 42P04 to 42P07; reason = the constraint's name
///   kFailedPrecondition  23503, 23001; reason = the constraint's name
///   kInvalidArgument     23502, 23514, 22xxx; reason = the constraint's (or column's) name. 54xxx:
///                        a value beyond the server's limits, such as JSON nested too deep
///   kPermissionDenied    42501, also a row that row security forbids
///   kUnimplemented       0A000
///   kInternal            anything else: a fault of the statement
/// 28xxx is not kUnauthenticated: it is this service that may not sign in, not the service's
/// caller.
ErrorCode code_of_sqlstate(std::string_view sqlstate);

}  // namespace sluice::postgres
