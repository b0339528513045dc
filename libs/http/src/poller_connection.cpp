// The second half of the poller: what happens on one connection.
#include "answer_writer.h"
#include "poller.h"

#include <array>
#include <optional>

#include <sluice/base/check.h>
#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

constexpr std::size_t kReadSize = 4096;
// Enough for a peer to take the answer; one that goes on sending is cut by either bound.
constexpr std::chrono::seconds kLingerTime{1};
constexpr std::uint64_t kLingerBytes = 1 << 20;

}  // namespace

/// Lets the peer take the answer before the connection ends: closing with unread bytes would make
/// the kernel throw it away.
void Poller::linger(Connection& connection) {
  connection.transport.finish_writing();
  connection.phase = Connection::Phase::kLinger;
  connection.buffer.clear();
  end_in(connection, kLingerTime);
}

void Poller::on_event(Connection& connection) {
  if (connection.phase == Connection::Phase::kLinger) return discard(connection);
  if (connection.phase == Connection::Phase::kHandshake && !shake_hands(connection)) return;
  read_more(connection);
}

/// False while the handshake is not over, or when it failed.
bool Poller::shake_hands(Connection& connection) {
  const Transport::Step step = connection.transport.try_handshake();
  switch (step.io) {
    case Transport::Io::kDone:
      connection.phase =
          Connection::Phase::kHead;  // under the deadline that began with the connection
      watched_.listen_for(connection, false);
      return true;
    case Transport::Io::kWantRead:
      watched_.listen_for(connection, false);
      return false;
    case Transport::Io::kWantWrite:
      watched_.listen_for(connection, true);
      return false;
    case Transport::Io::kEnd:
    case Transport::Io::kBroken:
      break;
  }
  close(connection, "tls_handshake");
  return false;
}

/// False when the connection is no longer ours.
bool Poller::read_more(Connection& connection) {
  std::array<char, kReadSize> bytes;
  while (true) {
    const Transport::Step step = connection.transport.try_read(bytes);
    if (step.io == Transport::Io::kWantRead || step.io == Transport::Io::kWantWrite) return true;
    if (step.io != Transport::Io::kDone) {
      close(connection, "");
      return false;
    }
    connection.buffer.append(bytes.data(), step.count);
    if (connection.phase == Connection::Phase::kIdle) {
      connection.phase = Connection::Phase::kHead;
      end_in(connection, core_.config.head_timeout);
    }
    if (dispatch_if_complete(connection)) return false;
  }
}

/// True when the connection is no longer ours, or lingers.
bool Poller::dispatch_if_complete(Connection& connection) {
  connection.head_size = find_head_end(connection.buffer, connection.scanned);
  const std::size_t size =
      connection.head_size > 0 ? connection.head_size : connection.buffer.size();
  if (size > kMaxHeadSize) {
    const bool is_target = connection.buffer.find('\n') > kMaxHeadSize;
    const auto why = is_target ? reason::kTargetTooLong : reason::kHeadTooLarge;
    refuse(connection,
           Error(ErrorCode::kInvalidArgument,
                 is_target ? "the request line is too long" : "the request's head is too large")
               .with_reason(std::string(why)),
           why);
    return true;
  }
  if (connection.head_size == 0) return false;
  dispatch(connection);
  return true;
}

void Poller::dispatch(Connection& connection) {
  Job job{watched_.remove(connection)};
  core_.metrics.waiting.add(1);
  if (jobs_.try_push(std::move(job))) return;
  core_.metrics.waiting.add(-1);
  refuse(watched_.add(std::move(job.connection)),
         Error(ErrorCode::kUnavailable, "too many requests are waiting"), "overloaded");
}

/// Answers without a worker, in one attempt: who does not take a few hundred bytes gets none.
void Poller::refuse(Connection& connection, const Error& error, std::string_view why) {
  const TraceContext trace = TraceContext::start(core_.random);
  const std::string trace_id = trace.trace_id_hex();
  const bool is_overload = status_of(error) == 503;
  const Response response =
      problem(error, trace_id, is_overload ? std::optional(std::chrono::seconds(1)) : std::nullopt);
  const auto head = render_head(response, {.is_head_request = false,
                                           .is_close = true,
                                           .is_tls = connection.peer.is_tls,
                                           .trace_id = trace_id,
                                           .now = core_.clock.wall()});
  SLUICE_CHECK(head.has_value());
  core_.metrics.refused(why);
  core_.metrics.answered(nullptr, response.status, 0);
  core_.log.with_trace(trace).debug(
      "http_request",
      {{"status", response.status}, {"reason", why}, {"peer_ip", connection.peer.ip}});
  connection.transport.try_write(*head + response.body);
  linger(connection);
}

void Poller::discard(Connection& connection) {
  std::array<char, kReadSize> bytes;
  while (true) {
    const Transport::Step step = connection.transport.try_read(bytes);
    if (step.io == Transport::Io::kWantRead || step.io == Transport::Io::kWantWrite) return;
    connection.discarded += step.count;
    if (step.io != Transport::Io::kDone || connection.discarded > kLingerBytes) {
      return close(connection, "");
    }
  }
}

}  // namespace sluice::http
