#include "exchange.h"

#include "answer_writer.h"
#include "target.h"

#include <exception>
#include <format>

#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

constexpr std::string_view kRateLimitedAddress = "rate_limited_address";
constexpr std::string_view kRateLimitedCaller = "rate_limited_caller";

std::string joined(const std::vector<std::string>& methods) {
  std::string out;
  for (const std::string& method : methods) out += (out.empty() ? "" : ", ") + method;
  return out;
}

TraceContext trace_of(const Headers& headers, Random& random) {
  if (headers.count("traceparent") == 1) {
    if (auto sender = TraceContext::parse(*headers.get("traceparent")))
      return sender->child(random);
  }
  return TraceContext::start(random);
}

}  // namespace

Exchange::Exchange(Core& core, Connection& connection)
    : core_(core), connection_(connection), begun_(core.clock.mono()) {
  request_.peer = connection.peer;
  request_.trace = TraceContext::start(core.random);
  request_.log = core.log.with_trace(request_.trace);
}

Ending Exchange::run() {
  const std::string head_text = connection_.buffer.substr(0, connection_.head_size);
  connection_.buffer.erase(0, connection_.head_size);
  connection_.scanned = 0;
  connection_.head_size = 0;
  ++connection_.requests;

  Result<Response> result = fail(ErrorCode::kInternal, "not answered");
  try {
    result = answer(head_text);
  } catch (const std::exception& e) {
    // Handlers should not throw; one that does has failed, and nothing else has.
    result = fail(ErrorCode::kInternal, std::format("exception: {}", e.what()));
  }

  const std::optional<Error> error = result ? std::nullopt : std::optional(result.error());
  Response response =
      result ? *std::move(result) : problem(*error, request_.trace.trace_id_hex(), retry_after_);
  if (error) {
    for (const auto& [name, value] : problem_headers_) response.headers.set(name, value);
  }
  const int status = response.status;
  audit(status, error ? &*error : nullptr);
  const Ending ending = send(std::move(response));
  account(status, error ? &*error : nullptr);
  return ending;
}

Result<Response> Exchange::answer(std::string_view head_text) {
  SLUICE_TRY_ASSIGN(bool goes_on, read_head(head_text));
  if (goes_on) {
    SLUICE_TRY_ASSIGN(goes_on, find_route());
  }
  if (!goes_on) return *std::move(early_);
  SLUICE_TRY(admit());
  return handle();
}

Result<bool> Exchange::read_head(std::string_view head_text) {
  auto head = parse_request_head(head_text);
  if (!head) {
    must_close_ = true;  // where the next request would begin, nobody knows
    SLUICE_TRY(take_address_token());
    return fail(std::move(head).error());
  }
  head_ = *std::move(head);
  request_.method = head_.method;
  request_.target = head_.target;
  request_.headers = head_.headers;
  request_.trace = trace_of(head_.headers, core_.random);
  request_.log = core_.log.with_trace(request_.trace);
  body_.emplace(connection_, head_.framing, head_.expects_continue,
                SocketBody::Limits{.max_size = 0, .io_timeout = {}, .total_timeout = {}},
                core_.clock, core_.metrics.received_bytes);
  if (head_.target == "*") {
    SLUICE_TRY(take_address_token());
    early_ = Response::no_content();
    return false;
  }
  return true;
}

Result<bool> Exchange::find_route() {
  auto match = core_.router.match(head_.method, head_.path());
  if (!match) {
    SLUICE_TRY(take_address_token());
    return fail(std::move(match).error());
  }
  if (match->route == nullptr) {
    SLUICE_TRY(take_address_token());
    const std::string allowed = joined(match->allowed);
    if (head_.method == "OPTIONS") {
      early_ = Response::no_content().with_header("Allow", allowed);
      return false;
    }
    problem_headers_.set("Allow", allowed);
    return fail(Error(ErrorCode::kUnimplemented, "this path does not have this method")
                    .with_reason(std::string(reason::kMethodNotAllowed)));
  }
  route_ = match->route;
  request_.route = route_->path;
  request_.path_params = std::move(match->path_params);
  SLUICE_TRY_ASSIGN(request_.query, parse_query(head_.query()));
  body_.emplace(
      connection_, head_.framing, head_.expects_continue,
      SocketBody::Limits{.max_size = max_size(),
                         .io_timeout = core_.config.io_timeout,
                         .total_timeout = route_->options.is_upload ? core_.config.upload_timeout
                                                                    : core_.config.request_timeout},
      core_.clock, core_.metrics.received_bytes);
  return true;
}

std::uint64_t Exchange::max_size() const {
  if (route_->options.max_body) return route_->options.max_body->count;
  return (route_->options.is_upload ? core_.config.max_upload : core_.config.max_body).count;
}

Result<> Exchange::take_address_token() {
  retry_after_ = core_.address_rate.take(rate_key_of_ip(connection_.peer.ip));
  if (!retry_after_) return {};
  refusal_ = kRateLimitedAddress;
  return fail(Error(ErrorCode::kResourceExhausted, "too many requests from this address")
                  .with_reason("rate_limited"));
}

Result<> Exchange::admit() {
  if (route_->access.is_open()) {
    SLUICE_TRY(take_address_token());
    is_authorized_ = true;
    return {};
  }
  SLUICE_TRY(authenticate());
  const auth::Principal& caller = *request_.caller;
  retry_after_ = core_.caller_rate.take(caller.tenant.value() + '\n' + caller.identity());
  if (retry_after_) {
    refusal_ = kRateLimitedCaller;
    return fail(Error(ErrorCode::kResourceExhausted, "too many requests of this caller")
                    .with_reason("rate_limited"));
  }
  if (!route_->access.allows(caller)) {
    was_refused_ = true;
    return fail(Error(ErrorCode::kPermissionDenied, "the caller's role does not allow this"));
  }
  is_authorized_ = true;
  return {};
}

Result<> Exchange::authenticate() {
  auto caller = core_.ports.authenticator->authenticate(request_);
  if (caller) {
    request_.caller = *std::move(caller);
    return {};
  }
  const ErrorCode code = caller.error().code();
  if (code == ErrorCode::kUnauthenticated || code == ErrorCode::kPermissionDenied) {
    // Afterwards, so that failures of one peer do not shut out everybody who shares its address.
    // What a guess may cost behind this is the authenticator's to bound.
    SLUICE_TRY(take_address_token());
    was_refused_ = true;
  }
  if (code == ErrorCode::kResourceExhausted) retry_after_ = std::chrono::seconds(1);
  return fail(std::move(caller).error());
}

void Exchange::audit(int status, const Error* error) {
  if (core_.ports.audit == nullptr || route_ == nullptr) return;
  const bool is_carried_out = is_authorized_ && route_->is_write();
  if (!was_refused_ && !is_carried_out) return;

  AuditEntry entry;
  entry.caller = request_.caller;
  entry.action = route_->options.action;
  entry.method = request_.method;
  entry.route = route_->path;
  entry.path_params = request_.path_params;
  entry.peer_ip = request_.peer.ip;
  entry.status = status;
  entry.is_dry_run = request_.is_dry_run;
  entry.trace_id = request_.trace.trace_id_hex();
  entry.outcome = status < 400 ? AuditEntry::Outcome::kDone : AuditEntry::Outcome::kFailed;
  if (was_refused_) entry.outcome = AuditEntry::Outcome::kRefused;
  if (error != nullptr) {
    entry.reason =
        error->reason().empty() ? std::string(to_string(error->code())) : error->reason();
  } else if (is_replay_) {
    entry.reason = "replayed";
  }
  try {
    core_.ports.audit->record(entry);
  } catch (const std::exception& e) {
    core_.metrics.audit_failures.add();
    request_.log->error("http_audit_failed", {{"error", e.what()}, {"action", entry.action}});
  }
}

Ending Exchange::send(Response response) {
  if (body_ && body_->is_broken()) return Ending::kCut;
  const bool is_unread = must_close_ || (body_ && !body_->is_complete());
  const bool is_close = is_unread || head_.wants_close || core_.is_draining ||
                        connection_.requests >= core_.config.max_requests_per_connection;
  const bool is_head_request = head_.method == "HEAD";
  const std::string trace_id = request_.trace.trace_id_hex();
  const AnswerOptions options{.is_head_request = is_head_request,
                              .is_close = is_close,
                              .is_tls = connection_.peer.is_tls,
                              .trace_id = trace_id,
                              .now = core_.clock.wall()};
  auto head = render_head(response, options);
  if (!head) {
    request_.log->error("http_answer_malformed", head.error(), {{"route", request_.route}});
    response = problem(head.error(), trace_id);
    head = render_head(response, options);
  }
  const WriteLimits limits{.io_timeout = core_.config.io_timeout,
                           .body_timeout = core_.config.request_timeout,
                           .stream_timeout = core_.config.upload_timeout};
  Result<std::uint64_t> sent = fail(ErrorCode::kInternal, "not sent");
  try {
    sent = write_answer(connection_.transport, response, *std::move(head), is_head_request,
                        core_.clock, limits);
  } catch (const std::exception& e) {
    sent = fail(ErrorCode::kInternal, std::format("exception: {}", e.what()));
  }
  if (!sent) {
    request_.log->warning("http_answer_broken_off", sent.error(), {{"route", request_.route}});
    return Ending::kCut;
  }
  sent_bytes_ = *sent;
  core_.metrics.sent_bytes.add(*sent);
  if (!is_close) return Ending::kKeep;
  return is_unread || !connection_.buffer.empty() ? Ending::kLinger : Ending::kClose;
}

void Exchange::account(int status, const Error* error) {
  const double seconds = std::chrono::duration<double>(core_.clock.mono() - begun_).count();
  core_.metrics.answered(route_, status, seconds);
  if (error != nullptr && !is_handler_reached_) {
    const std::string_view by_code = to_string(error->code());
    const std::string_view by_error =
        error->reason().empty() ? by_code : std::string_view(error->reason());
    // An authenticator has reasons of its own, which are for the log.
    const bool is_auth = was_refused_ || error->code() == ErrorCode::kUnauthenticated;
    core_.metrics.refused(!refusal_.empty() ? refusal_ : (is_auth ? by_code : by_error));
  }
  if (error != nullptr && status >= 500) {
    request_.log->error("http_request_failed", *error,
                        {{"method", request_.method}, {"route", request_.route}});
  }

  const std::string_view tenant =
      request_.caller ? std::string_view(request_.caller->tenant.value()) : std::string_view();
  const std::string_view subject =
      request_.caller ? std::string_view(request_.caller->subject) : std::string_view();
  const Logger::Fields fields{{"method", request_.method}, {"route", request_.route},
                              {"status", status},          {"duration_ms", seconds * 1000},
                              {"sent_bytes", sent_bytes_}, {"peer_ip", request_.peer.ip},
                              {"tenant", tenant},          {"subject", subject}};
  // Probes, scrapes and floods would drown what people look for: they are counted, and logged in
  // detail only where somebody asks for it.
  const bool is_quiet = !request_.caller && (status < 400 || status == 429 || route_ == nullptr);
  if (is_quiet)
    request_.log->debug("http_request", fields);
  else
    request_.log->info("http_request", fields);
}

}  // namespace sluice::http
