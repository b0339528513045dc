#pragma once

#include "adapters/kafka_sink.h"
#include "core/broker.h"
#include "front/front_process.h"
#include "testing/fake_ports.h"
#include "world/sim_thread.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <sluice/ingest/topic_map.h>
#include <sluice/metrics/metrics.h>

namespace sluice::simulation {

/// Asks the registry, over the network.
class SimAuthenticator final : public front::Authenticator {
 public:
  /// `then` is called after each answer.
  SimAuthenticator(SimThread& thread, World& world, SimRegistry& registry,
                   const ingest::TopicMap& topics, std::function<void()> then)
      : thread_(thread),
        world_(world),
        registry_(registry),
        topics_(topics),
        then_(std::move(then)) {}
  void authenticate(device::v1::AuthenticateRequest request, front::Done<Verdict> done) override;

 private:
  Result<Verdict> ask(const device::v1::AuthenticateRequest& request);

  SimThread& thread_;
  World& world_;
  SimRegistry& registry_;
  const ingest::TopicMap& topics_;
  const std::function<void()> then_;
};

/// Who came and went, for the trace.
class TracingObserver final : public front::ClientObserver {
 public:
  explicit TracingObserver(Trace& trace) : trace_(trace) {}
  void on_opened(const front::Client& client, std::uint64_t epoch,
                 std::string_view protocol) override;
  void on_ended(const front::Client& client, std::uint64_t epoch, std::string_view reason) override;
  void on_refused(const front::Peer& peer, std::string_view client_id, mqtt::ReasonCode reason,
                  std::string_view what) override;

 private:
  Trace& trace_;
};

struct Sessions::Kept {
  bool is_durable = false;
  std::map<front::SessionKey, front::testing::FakeStore::Entry> entries;
};

/// What FrontLoop and DeviceSocket are in the real front: reads while there is room, tells the core
/// what became of records, sends what it has to say at the end of each turn.
class FrontProcess::Loop {
 public:
  Loop(World& world, Cluster& cluster, SimRegistry& registry, Sessions& sessions);
  ~Loop();

  void accept(StreamPtr stream);
  void publish(std::string_view tenant, mqtt::MessagePtr message);
  SimThread& thread() { return thread_; }
  std::size_t waiting_records() const;
  std::size_t streams() const { return sockets_.size(); }

 private:
  struct Socket final : front::Link, Stream::End {
    Socket(Loop& l, std::uint64_t i, StreamPtr s) : loop(l), id(i), stream(std::move(s)) {}

    // Stream::End, outside of any turn.
    void on_bytes(std::span<const std::byte> bytes) override;
    void on_gone(std::string_view reason) override;
    // front::Link, within one.
    void send_soon() override { has_output = true; }
    void close_soon() override { closes = true; }
    void read_again() override { wants_turn = true; }
    void pause_until(MonoTime time) override;
    void move_soon(std::size_t) override {}
    bool has_unsent() const override { return false; }  // its stream takes everything at once

    Loop& loop;
    const std::uint64_t id;
    const StreamPtr stream;
    front::Client* client = nullptr;
    std::deque<std::vector<std::byte>> unread;
    MonoTime paused_until{};
    bool has_output = false;
    bool closes = false;
    bool wants_turn = false;
  };

  void turn();
  void look_again();
  void read(Socket& socket);
  bool flush(Socket& socket);
  void serve_tasks();

  World& world_;
  Sessions& sessions_;
  testing::SimRandom random_;
  Registry registry_;
  front::FrontMetrics metrics_{registry_};
  ingest::TopicMap topics_;
  front::testing::Tasks tasks_;
  front::testing::FakeStore store_{tasks_};
  front::testing::FakeNeighbours neighbours_{tasks_};
  TracingObserver observer_;
  front::Routes routes_;
  front::RetainedMessages retained_;
  front::TenantBucketTable tenant_buckets_;
  front::TenantLimits::Settings tenant_limits_;
  front::ConnectionAdmission admission_;
  front::Options options_;
  SimThread thread_;
  SimAuthenticator authenticator_;
  front::KafkaSink sink_;
  std::unique_ptr<front::Broker> broker_;
  std::map<std::uint64_t, std::unique_ptr<Socket>> sockets_;
  std::uint64_t next_socket_ = 1;
  std::size_t tasks_due_ = 0;
  bool looks_again_ = false;  // a turn is planned for what waits for time to pass
};

}  // namespace sluice::simulation
