// The second half of an exchange: what an authorised request meets.
#include "exchange.h"
#include "media_type.h"

#include <algorithm>
#include <format>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>
#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

constexpr std::size_t kMaxKeySize = 128;

Error with_reason(ErrorCode code, std::string message, std::string_view reason) {
  return Error(code, std::move(message)).with_reason(std::string(reason));
}

bool takes_body(const Route& route) {
  return !route.options.consumes.empty() || route.options.is_upload;
}

}  // namespace

Result<Response> Exchange::handle() {
  SLUICE_TRY(check_media());
  SLUICE_TRY(check_size_and_preconditions());
  SLUICE_TRY(read_switches());
  SLUICE_TRY(read_body());
  return run_once();
}

Result<> Exchange::check_media() {
  const RouteOptions& options = route_->options;
  if (const auto accept = request_.headers.joined("Accept");
      accept && !is_acceptable(*accept, options.produces)) {
    return fail(with_reason(ErrorCode::kInvalidArgument,
                            "Accept allows nothing that is answered here", reason::kNotAcceptable));
  }
  const bool has_body = head_.framing.has_body();
  if (!takes_body(*route_)) {
    if (!has_body) return {};
    return fail(with_reason(ErrorCode::kInvalidArgument, "this method takes no body here",
                            reason::kMalformedRequest));
  }
  if (!has_body) {
    if (options.is_body_optional) return {};
    return fail(ErrorCode::kInvalidArgument, "a body is needed");
  }
  const auto unsupported = [](std::string message) {
    return fail(with_reason(ErrorCode::kInvalidArgument, std::move(message),
                            reason::kUnsupportedMediaType));
  };
  if (request_.headers.count("Content-Type") != 1) {
    return unsupported("exactly one Content-Type is needed");
  }
  if (!is_media_type_one_of(*request_.headers.get("Content-Type"), options.consumes)) {
    std::string known;
    for (const std::string& each : options.consumes) known += (known.empty() ? "" : ", ") + each;
    return unsupported("Content-Type must be one of " + known);
  }
  // Unpacking what a stranger packed is a way to fill memory; nobody has needed it.
  const auto coding = request_.headers.joined("Content-Encoding");
  if (coding && !equal_ignoring_case(*coding, "identity")) {
    return unsupported("packed bodies are not taken");
  }
  return {};
}

Result<> Exchange::check_size_and_preconditions() {
  const std::uint64_t limit = max_size();
  if (head_.framing.content_length.value_or(0) > limit) {
    return fail(with_reason(ErrorCode::kInvalidArgument,
                            std::format("the body is larger than {} bytes", limit),
                            reason::kBodyTooLarge));
  }
  if (route_->options.requires_if_match && !request_.headers.get("If-Match")) {
    return fail(with_reason(ErrorCode::kFailedPrecondition,
                            "If-Match is needed: the ETag of the version that is to be changed",
                            reason::kPreconditionRequired));
  }
  return {};
}

Result<> Exchange::read_switches() {
  if (!route_->is_write()) return {};
  std::size_t times = 0;
  for (const auto& [name, value] : request_.query) {
    if (name != "dry_run") continue;
    if (++times > 1 || (value != "true" && value != "false")) {
      return fail(Error(ErrorCode::kInvalidArgument, "the query has faults")
                      .with_fault("dry_run", "must be true or false, once"));
    }
    request_.is_dry_run = value == "true";
  }
  return {};
}

Result<> Exchange::read_body() {
  if (route_->options.is_upload) {
    request_.body_reader = &*body_;
    return {};
  }
  request_.body.reserve(static_cast<std::size_t>(head_.framing.content_length.value_or(0)));
  return body_->read([&](std::string_view piece) -> Result<> {
    request_.body += piece;
    return {};
  });
}

Result<Response> Exchange::call_handler() {
  is_handler_reached_ = true;
  return route_->handler(request_);
}

Result<Response> Exchange::run_once() {
  const auto refuse = [](std::string message) {
    return fail(Error(ErrorCode::kInvalidArgument, "the Idempotency-Key cannot be honoured")
                    .with_fault("Idempotency-Key", std::move(message)));
  };
  const std::size_t keys = request_.headers.count("Idempotency-Key");
  if (keys == 0) return call_handler();

  // A key that would not protect must not look as if it did.
  const bool is_for_keys = request_.method == "POST" && route_->is_write() && request_.caller &&
                           !route_->options.is_upload && route_->options.takes_idempotency_key &&
                           core_.ports.idempotency != nullptr;
  if (!is_for_keys) return refuse("is not taken here");
  const std::string_view key = *request_.headers.get("Idempotency-Key");
  const bool is_printable = std::ranges::all_of(key, [](char c) { return c > 0x20 && c < 0x7f; });
  if (keys > 1 || key.empty() || key.size() > kMaxKeySize || !is_printable) {
    return refuse(std::format("must be 1 to {} printable ASCII characters, once", kMaxKeySize));
  }
  if (request_.is_dry_run) return call_handler();  // changes nothing, however often

  // NUL cannot occur in method or target, so that the three parts cannot run into each other.
  std::string text = request_.method;
  text += '\0';
  text += request_.target;
  text += '\0';
  text += request_.body;
  request_.idempotency_key = IdempotencyKey{.tenant = request_.caller->tenant,
                                            .subject = request_.caller->identity(),
                                            .key = std::string(key),
                                            .request_hash = to_hex(crypto::sha256(text))};
  return run_with_key();
}

Result<Response> Exchange::run_with_key() {
  IdempotencyStore& store = *core_.ports.idempotency;
  const IdempotencyKey& key = *request_.idempotency_key;
  auto begun = store.begin(key);
  if (!begun) return fail(std::move(begun).error().context("idempotency key"));
  switch (begun->state) {
    case IdempotencyStore::State::kFresh:
      break;
    case IdempotencyStore::State::kMismatch:
      return fail(with_reason(ErrorCode::kInvalidArgument,
                              "this Idempotency-Key was used for another request",
                              reason::kIdempotencyKeyReused));
    case IdempotencyStore::State::kInProgress:
      retry_after_ = std::chrono::seconds(1);
      return fail(
          Error(ErrorCode::kAborted, "a request with this Idempotency-Key is being handled"));
    case IdempotencyStore::State::kReplay: {
      is_replay_ = true;
      StoredResponse& stored = begun->response;
      Response out;
      out.status = stored.status;
      out.content_type = std::move(stored.content_type);
      out.body = std::move(stored.body);
      out.headers.set("Idempotency-Replayed", "true");
      if (!stored.location.empty()) out.headers.set("Location", std::move(stored.location));
      if (!stored.etag.empty()) out.headers.set("ETag", std::move(stored.etag));
      return out;
    }
  }

  Result<Response> result = fail(ErrorCode::kInternal, "not handled");
  try {
    result = call_handler();
  } catch (const std::exception& e) {
    result = fail(ErrorCode::kInternal, std::format("exception: {}", e.what()));
  }
  // A key's end that cannot be stored is logged alone: what the handler did, it did. The key then
  // stays in progress, and a repetition is refused rather than carried out twice.
  if (!result || result->status >= 400) {
    if (auto done = store.abandon(key); !done) {
      request_.log->error("http_idempotency_abandon_failed", done.error());
    }
    return result;
  }
  const StoredResponse stored{.status = result->status,
                              .content_type = result->content_type,
                              .location = std::string(result->headers.get("Location").value_or("")),
                              .etag = std::string(result->headers.get("ETag").value_or("")),
                              .body = result->body};
  if (auto done = store.complete(key, stored); !done) {
    request_.log->error("http_idempotency_complete_failed", done.error());
  }
  return result;
}

}  // namespace sluice::http
