// Server and channel in one file, as every file that includes gRPC costs its 15 s of compilation.
#include "loopback_rig.h"

#include <fstream>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

namespace sluice::rpc::test {

Result<EchoResponse> echo(const Call& call, const EchoRequest& request) {
  EchoResponse response;
  response.set_text(request.text());
  response.set_peer(call.peer());
  response.set_trace_id(call.trace().trace_id_hex());
  return response;
}

EchoRequest request_of(const std::string& text) {
  EchoRequest request;
  request.set_text(text);
  return request;
}

void Barrier::pass() {
  std::unique_lock lock(mutex_);
  ++arrivals_;
  changed_.notify_all();
  EXPECT_TRUE(changed_.wait_for(lock, testing::kEventuallyDeadline, [this] { return is_open_; }));
}

void Barrier::open() {
  std::lock_guard lock(mutex_);
  is_open_ = true;
  changed_.notify_all();
}

void Barrier::wait_for_arrivals(int count) {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(
      changed_.wait_for(lock, testing::kEventuallyDeadline, [&] { return arrivals_ >= count; }));
}

EchoService::EchoService(Server& server, EchoHandler handler, Runs runs)
    : say_(server.method(
          {.name = "sluice.rpc.test.Echo/Say", .peers = {"caller", "renamed"}, .runs = runs})),
      forbidden_(
          server.method({.name = "sluice.rpc.test.Echo/Forbidden", .peers = {"somebody-else"}})),
      handler_(std::move(handler)) {}

grpc::ServerUnaryReactor* EchoService::Say(grpc::CallbackServerContext* context,
                                           const EchoRequest* request, EchoResponse* response) {
  return serve(say_, context, request, response, handler_);
}

grpc::ServerUnaryReactor* EchoService::Forbidden(grpc::CallbackServerContext* context,
                                                 const EchoRequest* request,
                                                 EchoResponse* response) {
  return serve(forbidden_, context, request, response, handler_);
}

grpc::ServerUnaryReactor* EchoService::Unregistered(grpc::CallbackServerContext* context,
                                                    const EchoRequest* /*request*/,
                                                    EchoResponse* /*response*/) {
  ++careless_runs;
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

Rig::Rig() {
  Settings settings;
  server_config.declare(settings);
  client_config.declare(settings, "echo");
  EXPECT_TRUE(settings.load("grpc_listen: 127.0.0.1:0\necho_address: 127.0.0.1:1\n", {}));
  // Far away, so that only the tests about deadlines meet one.
  client_config.timeout = std::chrono::seconds(60);
}

Rig::~Rig() {
  if (usual_channel) usual_channel->stop();
  if (server) server->stop();
}

crypto::TlsIdentity Rig::identity(const std::string& name,
                                  const crypto::testing::TestCa& authority) {
  return authority.write_identity((folder.path() / std::to_string(++folders_)).string(), name);
}

Result<> Rig::start(EchoHandler handler, Runs runs) {
  const auto own = is_plaintext ? crypto::TlsIdentity() : identity("echo");
  server = std::make_unique<Server>(server_config, own, clock, random, log, registry);
  service = std::make_unique<EchoService>(*server, std::move(handler), runs);
  server->add(*service);
  SLUICE_TRY(server->start());
  client_config.address = server->address();
  return {};
}

std::unique_ptr<Channel> Rig::connect(const crypto::TlsIdentity& from) {
  auto opened = Channel::open(client_config, from, clock, random, log, registry);
  EXPECT_TRUE(opened);
  return *std::move(opened);
}

Channel& Rig::channel() {
  if (!usual_channel)
    usual_channel = connect(is_plaintext ? crypto::TlsIdentity() : identity("caller"));
  return *usual_channel;
}

Result<EchoResponse> Rig::say(const std::string& text, const CallOptions& options) {
  EchoClient client(channel());
  return client.call(&EchoClient::Stub::Say, request_of(text), options);
}

double Rig::in_flight() {
  return registry.gauge("sluice_grpc_server_calls_in_flight", "Calls under way.").value();
}

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ErrorCode code_of(const Result<EchoResponse>& answer) {
  EXPECT_FALSE(answer);
  return answer ? ErrorCode::kUnknown : answer.error().code();
}

Result<EchoResponse> say_on(Channel& channel, const CallOptions& options = {}) {
  EchoClient client(channel);
  return client.call(&EchoClient::Stub::Say, request_of("x"), options);
}

/// A call that is under way; its outcome comes through the future.
std::future<Result<EchoResponse>> say_later(EchoClient& client, const CallOptions& options = {}) {
  auto promise = std::make_shared<std::promise<Result<EchoResponse>>>();
  auto answer = promise->get_future();
  client.call_async(
      &EchoClient::Stub::Say, request_of("later"), options,
      [promise](Result<EchoResponse> outcome) { promise->set_value(std::move(outcome)); });
  return answer;
}

/// The handler of a test that holds calls up.
EchoHandler held_by(Barrier& barrier) {
  return [&barrier](const Call& call, const EchoRequest& request) {
    barrier.pass();
    return echo(call, request);
  };
}

/// One call that is under way and held up in its handler.
struct HeldCall {
  Barrier barrier;
  Rig rig;
  std::optional<EchoClient> client{};
  std::future<Result<EchoResponse>> answer{};

  /// Returns once the call has reached the handler.
  void begin() {
    ASSERT_TRUE(rig.start(held_by(barrier)));
    client.emplace(rig.channel());
    answer = say_later(*client);
    barrier.wait_for_arrivals(1);
  }
};

void expect_unregistered_is_refused(Rig& rig) {
  EchoClient client(rig.channel());
  EXPECT_EQ(code_of(client.call(&EchoClient::Stub::Unregistered, request_of("x"))),
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(rig.service->careless_runs, 0);
}

TEST(RpcServer, AnswersAPeerThatTheMethodNames) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const auto answer = rig.say("hello");
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->text(), "hello");
  EXPECT_EQ(answer->peer(), "caller");
}

TEST(RpcServer, AnswersInlineToo) {
  Rig rig;
  ASSERT_TRUE(rig.start(echo, Runs::kInline));
  ASSERT_TRUE(rig.say("hello"));
}

TEST(RpcServer, GoesOnWithTheCallersTrace) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const TraceContext trace = TraceContext::start(rig.random);
  EXPECT_EQ(rig.say("x", {.trace = trace})->trace_id(), trace.trace_id_hex());
  EXPECT_NE(rig.say("x")->trace_id(), trace.trace_id_hex());
}

TEST(RpcServer, RefusesPeersThatTheMethodDoesNotName) {
  Rig rig;
  std::atomic<int> runs = 0;
  ASSERT_TRUE(rig.start([&](const Call& call, const EchoRequest& request) {
    ++runs;
    return echo(call, request);
  }));
  EchoClient client(rig.channel());
  EXPECT_EQ(code_of(client.call(&EchoClient::Stub::Forbidden, request_of("x"))),
            ErrorCode::kPermissionDenied);
  const auto stranger = rig.connect(rig.identity("stranger"));
  EXPECT_EQ(code_of(say_on(*stranger)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(runs, 0);
}

TEST(RpcServer, RefusesPeersWhoseCertificateNamesNoService) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const auto certificate = rig.ca.issue(crypto::testing::TestCa::Request{.common_name = "caller"});
  const auto channel =
      rig.connect(rig.ca.write_identity((rig.folder.path() / "nameless").string(), certificate));
  EXPECT_EQ(code_of(say_on(*channel)), ErrorCode::kPermissionDenied);
}

TEST(RpcServer, RefusesMethodsThatNobodyRegistered) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  expect_unregistered_is_refused(rig);
}

TEST(RpcServer, RefusesCertificatesOfAnotherAuthority) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const crypto::testing::TestCa stranger;
  auto identity = rig.identity("caller", stranger);
  identity.ca_file =
      rig.identity("caller").ca_file;  // it believes the server, but not the server it
  EXPECT_EQ(code_of(say_on(*rig.connect(identity))), ErrorCode::kUnavailable);
}

TEST(RpcServer, RefusesPeersWithoutCertificate) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = rig.ca.cert_pem();
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("echo");
  const auto stub = Echo::NewStub(
      grpc::CreateCustomChannel(rig.server->address(), grpc::SslCredentials(options), arguments));
  grpc::ClientContext context;
  EchoResponse response;
  EXPECT_EQ(stub->Say(&context, request_of("x"), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST(RpcServer, RefusesPlaintextPeersWhenItHasACertificate) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  EXPECT_EQ(code_of(say_on(*rig.connect({}))), ErrorCode::kUnavailable);
}

TEST(RpcServer, SendsErrorsWhole) {
  Rig rig;
  ASSERT_TRUE(rig.start([](const Call&, const EchoRequest&) -> Result<EchoResponse> {
    return fail(Error(ErrorCode::kInvalidArgument, "no good")
                    .with_reason("bad_text")
                    .with_fault("/text", "too short"));
  }));
  const auto answer = rig.say("x");
  EXPECT_EQ(code_of(answer), ErrorCode::kInvalidArgument);
  EXPECT_EQ(answer.error().message(), "call echo: no good");
  EXPECT_EQ(answer.error().reason(), "bad_text");
  EXPECT_THAT(answer.error().faults(), ::testing::ElementsAre(FieldFault{"/text", "too short"}));
}

TEST(RpcServer, KeepsWhatExceptionsSayToItself) {
  Rig rig;
  ASSERT_TRUE(rig.start([](const Call&, const EchoRequest&) -> Result<EchoResponse> {
    throw std::runtime_error("password=canary");
  }));
  const auto answer = rig.say("x");
  EXPECT_EQ(code_of(answer), ErrorCode::kInternal);
  EXPECT_THAT(answer.error().message(), ::testing::Not(::testing::HasSubstr("canary")));
  EXPECT_EQ(rig.log_lines->count("grpc_handler_threw"), 1U);
}

TEST(RpcServer, TellsHandlersTheCallersDeadline) {
  Rig rig;
  rig.server_config.max_deadline = seconds(30);
  std::atomic<MonoTime> deadline = MonoTime{};
  ASSERT_TRUE(rig.start([&](const Call& call, const EchoRequest& request) {
    deadline = call.deadline();
    return echo(call, request);
  }));
  ASSERT_TRUE(rig.say("x", {.timeout = seconds(20)}));
  // gRPC sends the distance in steps of a tenth of a second, rounded up.
  EXPECT_LE(deadline.load(), rig.clock.mono() + seconds(21));
  ASSERT_TRUE(rig.say("x", {.timeout = std::chrono::hours(1)}));
  EXPECT_LE(deadline.load(), rig.clock.mono() + seconds(30));
}

TEST(RpcServer, LetsHandlersSeeThatNobodyWaits) {
  Rig rig;
  Barrier entered;
  Barrier gave_up;
  entered.open();
  gave_up.open();
  ASSERT_TRUE(rig.start([&](const Call& call, const EchoRequest& request) {
    entered.pass();
    while (!call.is_cancelled()) std::this_thread::yield();
    gave_up.pass();
    return echo(call, request);
  }));
  EchoClient client(rig.channel());
  auto answer = say_later(client);
  entered.wait_for_arrivals(1);
  rig.channel().stop();
  EXPECT_EQ(code_of(answer.get()), ErrorCode::kCancelled);
  gave_up.wait_for_arrivals(1);
}

TEST(RpcServer, LetsNobodyWaitBeyondTheDeadline) {
  Rig rig;
  Barrier barrier;
  ASSERT_TRUE(rig.start(held_by(barrier)));
  EXPECT_EQ(code_of(rig.say("x", {.timeout = milliseconds(50)})), ErrorCode::kDeadlineExceeded);
  barrier.open();
}

TEST(RpcServer, RefusesMoreThanTheQueueHolds) {
  HeldCall held;
  held.rig.server_config.workers = 1;
  held.rig.server_config.queue = 1;
  held.begin();
  auto waits = say_later(*held.client);
  ASSERT_TRUE(testing::eventually([&] { return held.rig.in_flight() == 2; }));
  const auto refused = held.rig.say("x");
  EXPECT_EQ(code_of(refused), ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().reason(), "queue_full");
  held.barrier.open();
  EXPECT_TRUE(held.answer.get());
  EXPECT_TRUE(waits.get());
  EXPECT_EQ(held.rig.in_flight(), 0);
}

TEST(RpcServer, RefusesMoreThanMayBeInFlight) {
  HeldCall held;
  held.rig.server_config.max_in_flight = 1;
  held.begin();
  const auto refused = held.rig.say("x");
  EXPECT_EQ(code_of(refused), ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().reason(), "too_many_calls");
  held.barrier.open();
  EXPECT_TRUE(held.answer.get());
  EXPECT_TRUE(held.rig.say("x"));
}

TEST(RpcServer, NeverRunsWhatExpiredInTheQueue) {
  Rig rig;
  rig.server_config.workers = 1;
  Barrier barrier;
  std::atomic<int> runs = 0;
  ASSERT_TRUE(rig.start([&](const Call& call, const EchoRequest& request) {
    ++runs;
    barrier.pass();
    return echo(call, request);
  }));
  EchoClient client(rig.channel());
  auto first = say_later(client);
  barrier.wait_for_arrivals(1);
  auto second = say_later(client, {.timeout = seconds(20)});
  ASSERT_TRUE(testing::eventually([&] { return rig.in_flight() == 2; }));
  rig.clock.put_forward(seconds(30));
  barrier.open();
  EXPECT_TRUE(first.get());
  const auto refused = second.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(refused.error().reason(), "expired_in_queue");
  EXPECT_EQ(runs, 1);
}

TEST(RpcServer, RefusesLargeMessages) {
  Rig rig;
  rig.server_config.max_message = 1_KiB;
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(rig.say(std::string(512, 'x')));
  EXPECT_EQ(code_of(rig.say(std::string(2048, 'x'))), ErrorCode::kResourceExhausted);
}

TEST(RpcServer, FinishesCallsUnderWayWhenItStops) {
  HeldCall held;
  held.begin();
  std::jthread stopping([&] { held.rig.server->stop(); });
  ASSERT_TRUE(testing::eventually([&] {
    const auto refused = held.rig.say("x", {.timeout = seconds(5)});
    return !refused && refused.error().code() == ErrorCode::kUnavailable;
  }));
  held.barrier.open();
  const auto answer = held.answer.get();
  EXPECT_TRUE(answer) << answer.error().message();
}

TEST(RpcServer, CancelsCallsThatOutlastTheDrain) {
  Rig rig;
  rig.server_config.drain = milliseconds(20);
  Barrier entered;
  entered.open();
  ASSERT_TRUE(rig.start([&](const Call& call, const EchoRequest& request) {
    entered.pass();
    while (!call.is_cancelled()) std::this_thread::yield();
    return echo(call, request);
  }));
  EchoClient client(rig.channel());
  auto under_way = say_later(client);
  entered.wait_for_arrivals(1);
  rig.server->stop();
  EXPECT_FALSE(under_way.get());
}

TEST(RpcServer, MayBeStoppedByManyAndTwice) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  {
    std::jthread one([&] { rig.server->stop(); });
    std::jthread two([&] { rig.server->stop(); });
  }
  rig.server->stop();
}

/// The status of a health method and the bytes of its answer.
std::pair<grpc::Status, std::string> health(Channel& channel, const std::string& method) {
  grpc::GenericStub stub(raw_detail::grpc_channel(channel));
  grpc::ClientContext context;
  const grpc::Slice nothing;
  grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/" + method, {}, &request, &response,
                 [&](grpc::Status outcome) { status.set_value(std::move(outcome)); });
  grpc::Status outcome = status.get_future().get();
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (outcome.ok() && response.Dump(&slices).ok()) {
    for (const auto& slice : slices)
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return {outcome, bytes};
}

TEST(RpcServer, TellsEveryPeerItsHealth) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const auto monitor = rig.connect(rig.identity("monitor"));
  const auto [status, bytes] = health(*monitor, "Check");
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(bytes, "\x08\x01");  // HealthCheckResponse with status SERVING
  EXPECT_EQ(health(*monitor, "Watch").first.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(RpcServer, TakesUpRenewedCertificates) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.say("x"));
  const crypto::testing::TestCa next("Next CA");
  next.write_identity((rig.folder.path() / "1").string(), "echo");  // the server's folder
  const auto with_next = rig.connect(rig.identity("caller", next));
  const auto answer = say_on(*with_next);
  EXPECT_TRUE(answer) << answer.error().message();
  const auto with_old = rig.connect(rig.identity("caller"));
  EXPECT_EQ(code_of(say_on(*with_old)), ErrorCode::kUnavailable);
}

TEST(RpcServer, TellsWhenItsCertificateRunsOut) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.say("x"));
  const std::string text = rig.registry.scrape();
  const auto at = text.find("\nsluice_grpc_server_certificate_expiry_timestamp_seconds ");
  ASSERT_NE(at, std::string::npos);
  const double expires = std::stod(text.substr(text.find(' ', at) + 1));
  const auto now = std::chrono::duration<double>(rig.clock.wall().time_since_epoch()).count();
  EXPECT_GT(expires, now);
}

TEST(RpcServer, KeepsItsCertificateWhileANewOneIsHalfWritten) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  std::ofstream(rig.folder.path() / "1" / "tls.crt")
      << rig.ca.issue("echo").cert_pem;  // not of its key
  EXPECT_TRUE(rig.say("x"));
  EXPECT_TRUE(say_on(*rig.connect(rig.identity("caller"))));
  EXPECT_EQ(rig.log_lines->count("grpc_certificate_reload_failed"), 1U);
}

TEST(RpcServer, RefusesPlaintextOffLoopback) {
  Rig rig;
  rig.is_plaintext = true;
  rig.server_config.listen = "0.0.0.0:0";
  const auto started = rig.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(started.error().faults().front().field, "grpc_listen");
}

TEST(RpcServer, SpeaksPlaintextOnLoopback) {
  Rig rig;
  rig.is_plaintext = true;
  ASSERT_TRUE(rig.start());
  const auto answer = rig.say("hello");
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->peer(), "");
  expect_unregistered_is_refused(rig);
}

TEST(RpcServer, DoesNotShareAPort) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  Rig other;
  other.server_config.listen = rig.server->address();
  const auto started = other.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kUnavailable);
}

TEST(RpcChannel, RefusesAServerOfAnotherName) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  rig.client_config.service = "device-registry";
  EXPECT_EQ(code_of(rig.say("x")), ErrorCode::kUnavailable);
}

TEST(RpcChannel, RefusesAServerOfAnotherAuthority) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const crypto::testing::TestCa stranger;
  auto identity = rig.identity("caller");
  identity.ca_file = rig.identity("caller", stranger).ca_file;
  EXPECT_EQ(code_of(say_on(*rig.connect(identity))), ErrorCode::kUnavailable);
}

TEST(RpcChannel, RefusesPlaintextOffLoopback) {
  Rig rig;
  rig.client_config.address = "10.0.0.1:9443";
  const auto opened =
      Channel::open(rig.client_config, {}, rig.clock, rig.random, rig.log, rig.registry);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kFailedPrecondition);
}

/// A handler that fails with this code so many times before it answers, and counts.
EchoHandler failing(std::atomic<int>& calls, int times, ErrorCode code) {
  return
      [&calls, times, code](const Call& call, const EchoRequest& request) -> Result<EchoResponse> {
        if (++calls <= times) return fail(code, "not now");
        return echo(call, request);
      };
}

TEST(RpcChannel, TriesIdempotentCallsAgainWhenUnavailable) {
  Rig rig;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 2, ErrorCode::kUnavailable)));
  EXPECT_TRUE(rig.say("x", {.is_idempotent = true}));
  EXPECT_EQ(calls, 3);
}

TEST(RpcChannel, StopsAfterTheLastAttempt) {
  Rig rig;
  rig.client_config.max_attempts = 2;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 100, ErrorCode::kUnavailable)));
  EXPECT_EQ(code_of(rig.say("x", {.is_idempotent = true})), ErrorCode::kUnavailable);
  EXPECT_EQ(calls, 2);
}

TEST(RpcChannel, NeverRepeatsWhatIsNotIdempotent) {
  Rig rig;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 1, ErrorCode::kUnavailable)));
  EXPECT_EQ(code_of(rig.say("x")), ErrorCode::kUnavailable);
  EXPECT_EQ(calls, 1);
}

TEST(RpcChannel, NeverRepeatsOnOtherErrors) {
  for (const ErrorCode code :
       {ErrorCode::kResourceExhausted, ErrorCode::kInternal, ErrorCode::kAborted,
        ErrorCode::kDeadlineExceeded, ErrorCode::kNotFound}) {
    Rig rig;
    std::atomic<int> calls = 0;
    ASSERT_TRUE(rig.start(failing(calls, 1, code)));
    EXPECT_EQ(code_of(rig.say("x", {.is_idempotent = true})), code);
    EXPECT_EQ(calls, 1);
  }
}

TEST(RpcChannel, StopsRepeatingWhenTheBudgetIsSpent) {
  Rig rig;
  rig.client_config.max_attempts = 5;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 1000, ErrorCode::kUnavailable)));
  EchoClient client(rig.channel());
  std::vector<std::future<Result<EchoResponse>>> answers;
  for (int i = 0; i < 10; ++i) answers.push_back(say_later(client, {.is_idempotent = true}));
  for (auto& answer : answers) EXPECT_EQ(code_of(answer.get()), ErrorCode::kUnavailable);
  EXPECT_EQ(calls, 10 + 20);  // they would have been 50
}

TEST(RpcChannel, CancelsCallsUnderWayWhenItStops) {
  HeldCall held;
  held.begin();
  held.rig.channel().stop();
  EXPECT_EQ(code_of(held.answer.get()), ErrorCode::kCancelled);
  EXPECT_EQ(code_of(held.rig.say("x")), ErrorCode::kCancelled);
  held.barrier.open();
}

TEST(RpcChannel, CancelsCallsThatWaitForTheirNextAttemptWhenItStops) {
  Rig rig;
  rig.client_config.max_attempts = 10;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 1000, ErrorCode::kUnavailable)));
  EchoClient client(rig.channel());
  auto under_way = say_later(client, {.is_idempotent = true});
  ASSERT_TRUE(testing::eventually([&] { return calls > 0; }));
  rig.channel().stop();
  EXPECT_FALSE(under_way.get());
}

TEST(RpcChannel, CancelsCallsThatWaitForTheirFirstAttemptWhenItStops) {
  Rig rig;
  std::atomic<int> calls = 0;
  ASSERT_TRUE(rig.start(failing(calls, 0, ErrorCode::kUnavailable)));
  EchoClient client(rig.channel());
  auto delayed =
      say_later(client, {.timeout = std::chrono::hours(2), .delay = std::chrono::hours(1)});
  EXPECT_TRUE(rig.say("at once"));
  rig.channel().stop();
  EXPECT_EQ(code_of(delayed.get()), ErrorCode::kCancelled);
  EXPECT_EQ(calls, 1);
}

TEST(RpcChannel, KnowsWhetherItIsConnected) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(rig.channel().wait_connected(seconds(30)));
  EXPECT_TRUE(rig.channel().is_connected());
  rig.client_config.service = "device-registry";
  const auto refused = rig.connect(rig.identity("caller"));
  EXPECT_FALSE(refused->is_connected());
  EXPECT_FALSE(refused->wait_connected(milliseconds(50)));
}

TEST(RpcChannel, ConnectsAgainWithARenewedCertificate) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const auto channel = rig.connect(rig.identity("caller"));
  EchoClient client(*channel);
  EXPECT_EQ(client.call(&EchoClient::Stub::Say, request_of("x"))->peer(), "caller");
  rig.ca.write_identity((rig.folder.path() / "2").string(), "renamed");  // the caller's folder
  rig.clock.put_forward(seconds(2));
  EXPECT_EQ(client.call(&EchoClient::Stub::Say, request_of("x"))->peer(), "renamed");
}

TEST(RpcChannel, KeepsItsCertificateWhileANewOneIsHalfWritten) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  const auto channel = rig.connect(rig.identity("caller"));
  std::ofstream(rig.folder.path() / "2" / "tls.crt") << rig.ca.issue("renamed").cert_pem;
  for (int i = 0; i < 3; ++i) {
    rig.clock.put_forward(seconds(2));
    EXPECT_EQ(say_on(*channel)->peer(), "caller");
  }
  EXPECT_EQ(rig.log_lines->count("grpc_certificate_reload_failed"), 1U);
}

TEST(RpcChannel, ServesManyThreads) {
  Rig rig;
  ASSERT_TRUE(rig.start());
  EchoClient client(rig.channel());
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          if (client.call(&EchoClient::Stub::Say, request_of("x"))) ++answered;
        }
      });
    }
  }
  EXPECT_EQ(answered, 200);
}

}  // namespace
}  // namespace sluice::rpc::test
