#include "adapters/grpc_door.h"

#include <format>
#include <string>
#include <utility>
#include <vector>

#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>

namespace sluice::registry {
namespace {

using namespace ::sluice::device::v1;  // NOLINT: the messages of this one interface

// Who may ask what. Fronts ask about devices; who has a REST interface asks about operators' keys.
std::vector<std::string> fronts() { return {"mqtt-front", "http-ingest", "provisioning-ca"}; }
std::vector<std::string> rest_services() {
  return {"provisioning-ca", "rules-engine", "schema-validator",
          "shadow-service",  "tsdb-writer",  "archive-writer"};
}

std::string name_of(std::string_view method) {
  return std::format("{}/{}", DeviceRegistryService::service_full_name(), method);
}

Asker asker_of(const rpc::Call& call) {
  return {.service = call.peer(),
          .traceparent = call.trace().traceparent(),
          .deadline = call.deadline()};
}

/// Outcomes of one method, by refusal.
class Verdicts {
 public:
  Verdicts(Registry& registry, const std::string& method) {
    for (int reason = 0; reason < RefusalReason_ARRAYSIZE; ++reason) {
      const std::string outcome =
          reason == 0 ? "admitted" : RefusalReason_Name(static_cast<RefusalReason>(reason));
      counters_.push_back(
          registry.counter("sluice_registry_verdicts_total",
                           "Questions of other services about devices, by what was answered.",
                           {{"method", method}, {"outcome", lower(outcome)}}));
    }
  }

  template <typename Response>
  void count(const Response& response) {
    counters_[static_cast<std::size_t>(response.has_refusal() ? response.refusal().reason() : 0)]
        .add();
  }

 private:
  static std::string lower(std::string text) {
    constexpr std::string_view kPrefix = "REFUSAL_REASON_";
    if (text.starts_with(kPrefix)) text = text.substr(kPrefix.size());
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
  }

  std::vector<Counter> counters_;  // by RefusalReason
};

}  // namespace

class GrpcDoor::Service final : public DeviceRegistryService::CallbackService {
 public:
  Service(rpc::Server& server, Door& door, Registry& registry)
      : door_(door),
        authenticate_(server.method({.name = name_of("Authenticate"), .peers = fronts()})),
        authenticate_many_(server.method({.name = name_of("AuthenticateMany"), .peers = fronts()})),
        lookup_(server.method({.name = name_of("Lookup"), .peers = fronts()})),
        verify_(server.method({.name = name_of("VerifyOperatorKey"), .peers = rest_services()})),
        authenticate_verdicts_(registry, "authenticate"),
        lookup_verdicts_(registry, "lookup") {
    server.add(*this);
  }

  grpc::ServerUnaryReactor* Authenticate(grpc::CallbackServerContext* context,
                                         const AuthenticateRequest* request,
                                         AuthenticateResponse* response) override {
    return rpc::serve(authenticate_, context, request, response,
                      [this](const rpc::Call& call, const AuthenticateRequest& r) {
                        auto answer = door_.authenticate(r, asker_of(call));
                        if (answer) authenticate_verdicts_.count(*answer);
                        return answer;
                      });
  }

  grpc::ServerUnaryReactor* AuthenticateMany(grpc::CallbackServerContext* context,
                                             const AuthenticateManyRequest* request,
                                             AuthenticateManyResponse* response) override {
    return rpc::serve(authenticate_many_, context, request, response,
                      [this](const rpc::Call& call, const AuthenticateManyRequest& r) {
                        auto answers = door_.authenticate_many(r, asker_of(call));
                        if (!answers) return answers;
                        for (const AuthenticateAnswer& answer : answers->answers()) {
                          if (answer.has_response())
                            authenticate_verdicts_.count(answer.response());
                        }
                        return answers;
                      });
  }

  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context,
                                   const LookupRequest* request,
                                   LookupResponse* response) override {
    return rpc::serve(lookup_, context, request, response,
                      [this](const rpc::Call& call, const LookupRequest& r) {
                        auto answer = door_.lookup(r, asker_of(call));
                        if (answer) lookup_verdicts_.count(*answer);
                        return answer;
                      });
  }

  grpc::ServerUnaryReactor* VerifyOperatorKey(grpc::CallbackServerContext* context,
                                              const VerifyOperatorKeyRequest* request,
                                              VerifyOperatorKeyResponse* response) override {
    return rpc::serve(verify_, context, request, response,
                      [this](const rpc::Call& call, const VerifyOperatorKeyRequest& r) {
                        return door_.verify_operator_key(r, asker_of(call));
                      });
  }

 private:
  Door& door_;
  rpc::Method& authenticate_;
  rpc::Method& authenticate_many_;
  rpc::Method& lookup_;
  rpc::Method& verify_;
  Verdicts authenticate_verdicts_;
  Verdicts lookup_verdicts_;
};

GrpcDoor::GrpcDoor(rpc::Server& server, Door& door, Registry& registry)
    : service_(std::make_unique<Service>(server, door, registry)) {}

GrpcDoor::~GrpcDoor() = default;

}  // namespace sluice::registry
