#pragma once

#include "pg_handles.h"

#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::postgres {

/// What poll(2) was asked to wait for, in one call since TLS may want the other direction.
struct Readiness {
  bool readable = false;
  bool writable = false;
};

/// Waits until the socket is ready in one of the directions; both false when the deadline has
/// passed.
Readiness wait_for_socket(int socket, Readiness wanted, const Clock& clock, MonoTime deadline);

/// A new session in non-blocking mode; every failure is kUnavailable.
Result<PgConn> connect(const std::string& conninfo, const Clock& clock, MonoTime deadline);

}  // namespace sluice::postgres
