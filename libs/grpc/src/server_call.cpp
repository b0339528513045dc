#include "server_call.h"

#include "monotonic.h"

#include <string_view>

#include <grpc/grpc_security_constants.h>

namespace sluice::rpc {
namespace {

MonoTime deadline_of(gpr_timespec asked, ServerCall::Limits limits, MonoTime now) {
  const bool is_never = gpr_time_cmp(asked, gpr_inf_future(asked.clock_type)) == 0;
  return now + (is_never ? limits.default_deadline : distance_to(asked, limits.max_deadline));
}

std::string peer_of(const grpc::CallbackServerContext& context) {
  const auto names = context.auth_context()->FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME);
  return names.empty() ? std::string() : std::string(names.front().data(), names.front().size());
}

TraceContext trace_of(const grpc::CallbackServerContext& context, Random& random) {
  const auto& metadata = context.client_metadata();
  const auto header = metadata.find("traceparent");
  if (header != metadata.end()) {
    const std::string_view text(header->second.data(), header->second.size());
    if (const auto trace = TraceContext::parse(text)) return trace->child(random);
  }
  return TraceContext::start(random);
}

}  // namespace

ServerCall::ServerCall(const grpc::CallbackServerContext& context, Limits limits,
                       const Clock& clock, Random& random)
    : context_(context),
      clock_(clock),
      arrived_(clock.mono()),
      deadline_(deadline_of(context.raw_deadline(), limits, arrived_)),
      peer_(peer_of(context)),
      trace_(trace_of(context, random)) {}

}  // namespace sluice::rpc
