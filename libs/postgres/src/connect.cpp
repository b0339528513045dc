#include "connect.h"

#include <cerrno>
#include <exception>
#include <string_view>

#include <poll.h>

#include <pqxx/connection>

namespace sluice::postgres {
namespace {

Error unavailable(std::string_view what) {
  while (what.ends_with('\n')) what.remove_suffix(1);
  return Error(ErrorCode::kUnavailable, std::string(what)).context("connect to PostgreSQL");
}

}  // namespace

Readiness wait_for_socket(int socket, Readiness wanted, const Clock& clock, MonoTime deadline) {
  for (;;) {
    // Rounded up: waking a little early would spin until the deadline.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.mono());
    if (left.count() <= 0) return {};
    constexpr std::int64_t kLongest = 60'000;  // poll(2) takes an int; the loop goes on
    pollfd entry{.fd = socket,
                 .events = static_cast<short>((wanted.readable ? POLLIN : 0) |
                                              (wanted.writable ? POLLOUT : 0)),
                 .revents = 0};
    const int ready =
        ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left.count(), kLongest)));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    // A broken socket counts as ready: the next use of it tells what is wrong.
    const bool is_broken = ready < 0 || (entry.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    return {.readable = wanted.readable && (is_broken || (entry.revents & POLLIN) != 0),
            .writable = wanted.writable && (is_broken || (entry.revents & POLLOUT) != 0)};
  }
}

Result<PgConn> connect(const std::string& conninfo, const Clock& clock, MonoTime deadline) try {
  pqxx::connecting attempt{pqxx::zview(conninfo)};
  while (!attempt.done()) {
    const Readiness ready = wait_for_socket(
        attempt.sock(), {.readable = attempt.wait_to_read(), .writable = attempt.wait_to_write()},
        clock, deadline);
    if (!ready.readable && !ready.writable) return fail(unavailable("no answer in time"));
    attempt.process();
  }
  PgConn session(std::move(attempt).produce().release_raw_connection());
  // libpq's default prints notices to standard error, where log lines alone may go.
  PQsetNoticeProcessor(session.get(), [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(session.get(), 1) != 0)
    return fail(unavailable(PQerrorMessage(session.get())));
  return session;
} catch (const std::exception& error) {
  return fail(unavailable(error.what()));
}

}  // namespace sluice::postgres
