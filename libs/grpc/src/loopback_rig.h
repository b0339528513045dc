#pragma once

// What the tests over loopback share: a certificate authority, a server with the Echo service,
// channels.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/grpc/raw.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/shifted_clock.h>
#include <sluice/testing/temp_dir.h>

#include <echo.grpc.pb.h>

namespace sluice::rpc::test {

using EchoClient = Client<Echo>;
using EchoHandler = std::function<Result<EchoResponse>(const Call&, const EchoRequest&)>;

/// Says what it was told and by whom.
Result<EchoResponse> echo(const Call& call, const EchoRequest& request);

/// Closed at first: whoever passes waits. Knows how many have come.
class Barrier {
 public:
  void pass();
  void open();
  /// Waits until this many have come to it.
  void wait_for_arrivals(int count);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrivals_ = 0;
  bool is_open_ = false;
};

class EchoService final : public Echo::CallbackService {
 public:
  EchoService(Server& server, EchoHandler handler, Runs runs);

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const EchoRequest* request,
                                EchoResponse* response) override;
  grpc::ServerUnaryReactor* Forbidden(grpc::CallbackServerContext* context,
                                      const EchoRequest* request, EchoResponse* response) override;
  /// Does not ask serve(), as a careless author might not.
  grpc::ServerUnaryReactor* Unregistered(grpc::CallbackServerContext* context,
                                         const EchoRequest* request,
                                         EchoResponse* response) override;

  std::atomic<int> careless_runs = 0;

 private:
  Method& say_;
  Method& forbidden_;
  EchoHandler handler_;
};

struct Rig {
  Rig();

  /// Starts the Echo service as "echo", which "caller" and "renamed" may call.
  Result<> start(EchoHandler handler = echo, Runs runs = Runs::kOnWorker);
  crypto::TlsIdentity identity(const std::string& name, const crypto::testing::TestCa& authority);
  crypto::TlsIdentity identity(const std::string& name) { return identity(name, ca); }
  /// A channel to the server from this identity.
  std::unique_ptr<Channel> connect(const crypto::TlsIdentity& from);
  /// The usual channel: as "caller".
  Channel& channel();
  /// Calls Say on the usual channel.
  Result<EchoResponse> say(const std::string& text, const CallOptions& options = {});
  double in_flight();

  testing::TempDir folder;
  crypto::testing::TestCa ca;
  testing::ShiftedClock clock;
  SystemRandom random;
  std::shared_ptr<testing::CapturedLog> log_lines = std::make_shared<testing::CapturedLog>();
  Logger log = log_lines->logger("test", clock);
  Registry registry;
  ServerConfig server_config;
  ClientConfig client_config;
  bool is_plaintext = false;

  std::unique_ptr<Server> server;
  std::unique_ptr<EchoService> service;
  std::unique_ptr<Channel> usual_channel;

 private:
  int folders_ = 0;

 public:
  ~Rig();
};

EchoRequest request_of(const std::string& text);

}  // namespace sluice::rpc::test
