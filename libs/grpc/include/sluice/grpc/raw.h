#pragma once

// The part of this library that needs gRPC's own headers: for adapters that implement or call
// generated stubs, and for nobody else.

#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include <sluice/base/result.h>
#include <sluice/grpc/call.h>
#include <sluice/grpc/channel.h>
#include <sluice/grpc/server.h>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

namespace sluice::rpc {

/// An Error as a gRPC status with its reason and field faults in the details, readable by every
/// implementation of google.rpc.Status; and back, also from statuses that are not ours.
grpc::Status to_status(const Error& error);
Result<> from_status(const grpc::Status& status);

namespace raw_detail {

using Handler = std::move_only_function<Result<>(const Call&)>;
grpc::ServerUnaryReactor* serve(Method& method, grpc::CallbackServerContext* context,
                                Handler handler);

using StartAttempt = std::function<void(grpc::ClientContext*, std::function<void(grpc::Status)>)>;
using Done = std::move_only_function<void(Result<>)>;
void start_call(Channel& channel, const CallOptions& options, StartAttempt start, Done done);
Result<> run_call(Channel& channel, const CallOptions& options, StartAttempt start);
std::shared_ptr<grpc::Channel> grpc_channel(Channel& channel);

}  // namespace raw_detail

/// The whole body of a callback method:
///   grpc::ServerUnaryReactor* Authenticate(grpc::CallbackServerContext* context,
///                                          const AuthenticateRequest* request,
///                                          AuthenticateResponse* response) override {
///     return rpc::serve(authenticate_, context, request, response,
///         [this](const rpc::Call& call, const AuthenticateRequest& r) { return answer(call, r);
///         });
///   }
/// The handler returns Result<Response>; it runs where the method's `runs` says. Limits, deadline,
/// trace, metrics, exceptions and the status are taken care of.
template <typename Request, typename Response, typename Handler>
  requires std::is_invocable_r_v<Result<Response>, Handler&, const Call&, const Request&>
grpc::ServerUnaryReactor* serve(Method& method, grpc::CallbackServerContext* context,
                                const Request* request, Response* response, Handler handler) {
  return raw_detail::serve(
      method, context,
      [request, response, handler = std::move(handler)](const Call& call) mutable -> Result<> {
        SLUICE_TRY_ASSIGN(*response, Result<Response>(handler(call, *request)));
        return {};
      });
}

/// Calls another service:
///   using Registry = rpc::Client<device::v1::DeviceAuthentication>;
///   Registry registry(channel);
///   auto answer = registry.call(&Registry::Stub::Authenticate, request, {.is_idempotent = true});
/// Thread-safe. The channel must outlive it, and it the calls it made: stop the channel first.
template <typename Service>
class Client {
 public:
  using Stub = typename Service::StubInterface::async_interface;
  template <typename Request, typename Response>
  using StubMethod = void (Stub::*)(grpc::ClientContext*, const Request*, Response*,
                                    std::function<void(grpc::Status)>);

  explicit Client(Channel& channel) : channel_(channel) {}

  /// Blocks until the answer, the last failure or the deadline: for threads that may block.
  template <typename Request, typename Response>
  Result<Response> call(StubMethod<Request, Response> method,
                        const std::type_identity_t<Request>& request,
                        const CallOptions& options = {}) {
    Response response;
    auto outcome = raw_detail::run_call(
        channel_, options,
        [&](grpc::ClientContext* context, std::function<void(grpc::Status)> done) {
          response.Clear();
          (stub()->async()->*method)(context, &request, &response, std::move(done));
        });
    if (!outcome) return fail(std::move(outcome).error());
    return response;
  }

  /// Returns at once; `done` is called exactly once, on a gRPC thread (it must not block) or, when
  /// the channel is stopped, on this one.
  template <typename Request, typename Response>
  void call_async(StubMethod<Request, Response> method, std::type_identity_t<Request> request,
                  const CallOptions& options,
                  std::move_only_function<void(Result<std::type_identity_t<Response>>)> done) {
    struct Exchange {
      Request request;
      Response response;
    };
    // Owned by the attempt under way and by the callback of the whole call.
    auto exchange = std::make_shared<Exchange>(std::move(request), Response());
    raw_detail::start_call(
        channel_, options,
        [this, method, exchange](grpc::ClientContext* context,
                                 std::function<void(grpc::Status)> attempt_done) {
          exchange->response.Clear();
          (stub()->async()->*method)(context, &exchange->request, &exchange->response,
                                     std::move(attempt_done));
        },
        [exchange, done = std::move(done)](Result<> outcome) mutable {
          if (!outcome) return done(fail(std::move(outcome).error()));
          done(std::move(exchange->response));
        });
  }

 private:
  using StubOwner = typename Service::Stub;

  /// The stub of the connection that the channel has now: a renewed certificate brings another. A
  /// call under way does not need its stub, so the old one may go.
  std::shared_ptr<StubOwner> stub() {
    auto connection = raw_detail::grpc_channel(channel_);
    std::lock_guard lock(mutex_);
    if (connection != connection_) {
      stub_ = Service::NewStub(connection);
      connection_ = std::move(connection);
    }
    return stub_;
  }

  Channel& channel_;
  std::mutex mutex_;
  std::shared_ptr<grpc::Channel> connection_;  // owned by the channel and by calls under way
  std::shared_ptr<StubOwner> stub_;            // owned here and by attempts that are just beginning
};

}  // namespace sluice::rpc
