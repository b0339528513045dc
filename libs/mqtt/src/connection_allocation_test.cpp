// What messages and idle connections cost in memory. Replaces the allocator of the whole test
// program by one that counts while it is asked to.
#include "testing_connection.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

namespace {

std::atomic<bool> counts = false;
std::atomic<std::size_t> allocations = 0;
std::atomic<std::size_t> allocated_bytes = 0;

void* allocate(std::size_t size) {
  if (counts) {
    ++allocations;
    allocated_bytes += size;
  }
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
// All forms, or what one of ours allocates comes to a release that is not ours.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice::mqtt {
namespace {

struct Allocated {
  std::size_t count;
  std::size_t bytes;
};

template <typename Work>
Allocated allocated_by(const Work& work) {
  allocations = 0;
  allocated_bytes = 0;
  counts = true;
  work();
  counts = false;
  return {.count = allocations, .bytes = allocated_bytes};
}

/// Answers everything at once and remembers nothing.
class Quick : public ConnectionEvents {
 public:
  explicit Quick(const ConnectionLimits& limits, const Session::Limits& session_limits)
      : session(session_limits), connection(limits) {}

  void on_connect(const Connect&) override { connection.accept(session, {}, out); }
  void on_publish(const Publish&, PublishId id) override {
    if (id != 0) connection.publish_done(id, ReasonCode::kSuccess, {}, out);
  }
  void on_publish_released(std::uint16_t id) override { connection.release_done(id, out); }
  void on_subscribe(const Subscribe&) override {}
  void on_unsubscribe(const Unsubscribe&) override {}
  void on_close(const Close&) override { FAIL() << "closed"; }
  void on_outbound_changed(const Delivery&) override {}
  void on_outbound_done(const Delivery&, End) override {}

  Session session;
  Connection connection;
  Output out;
};

const ConnectionLimits kLimits;
const Session::Limits kSessionLimits;

Output connect_of(Version version) {
  Output packet;
  encode(Connect{.version = version, .client_id = "c"}, packet);
  return packet;
}

TEST(Allocation, AnIdleConnectionAndItsSessionTakeNoMemoryBesidesThemselves) {
  const auto connect = connect_of(Version::kV5);
  Quick server(kLimits, kSessionLimits);
  server.out.reserve(1024);
  const auto taken =
      allocated_by([&] { server.connection.on_bytes({}, connect, server.out, server); });
  ASSERT_EQ(server.connection.state(), Connection::State::kOpen);
  EXPECT_EQ(taken.bytes, 0U);
  EXPECT_LE(sizeof(Connection) + sizeof(Session), 128U);
}

TEST(Allocation, PublishesAreTakenAndAcknowledgedWithoutAny) {
  for (const Version version : {Version::kV311, Version::kV5}) {
    for (const Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
      Quick server(kLimits, kSessionLimits);
      server.connection.on_bytes({}, connect_of(version), server.out, server);
      const auto id = static_cast<std::uint16_t>(qos == Qos::kAtMostOnce ? 0 : 1);
      Output packets;
      encode(
          Publish{.topic = "a/topic", .payload = bytes_of("payload"), .qos = qos, .packet_id = id},
          version, packets);
      if (qos == Qos::kExactlyOnce) {
        encode(Ack{.type = PacketType::kPubrel, .packet_id = 1}, version, packets);
      }
      const auto run = [&] {
        server.out.clear();
        server.connection.on_bytes({}, packets, server.out, server);
      };
      run();
      const auto taken = allocated_by([&] {
        for (int i = 0; i < 10'000; ++i) run();
      });
      EXPECT_EQ(taken.count, 0U) << static_cast<int>(version) << " " << static_cast<int>(qos);
    }
  }
}

TEST(Allocation, MessagesAreDeliveredAndAcknowledgedWithoutAny) {
  Quick server(kLimits, kSessionLimits);
  server.connection.on_bytes({}, connect_of(Version::kV5), server.out, server);
  const auto message = delivery("a/topic", "payload", Qos::kAtLeastOnce);
  Output ack;
  const auto run = [&](std::uint16_t id) {
    Delivery copy = message;
    server.session.enqueue(copy);
    server.out.clear();
    server.connection.deliver({}, 1 << 20, server.out, server);
    ack.clear();
    encode(Ack{.type = PacketType::kPuback, .packet_id = id}, Version::kV5, ack);
    server.connection.on_bytes({}, ack, server.out, server);
  };
  run(1);
  const auto taken = allocated_by([&] {
    for (std::uint16_t id = 2; id < 10'000; ++id) run(id);
  });
  EXPECT_EQ(taken.count, 0U);
  EXPECT_TRUE(server.session.is_idle());
}

TEST(Allocation, ReleasedMemoryIsTakenAgain) {
  Quick server(kLimits, kSessionLimits);
  server.connection.on_bytes({}, connect_of(Version::kV5), server.out, server);
  Output publish;
  encode(Publish{.topic = "t", .qos = Qos::kAtLeastOnce, .packet_id = 1}, Version::kV5, publish);
  for (int i = 0; i < 3; ++i) {
    auto message = delivery("t", "p", Qos::kAtMostOnce);
    server.session.enqueue(message);
    server.out.clear();
    server.connection.on_bytes({}, publish, server.out, server);
    server.connection.deliver({}, 1 << 20, server.out, server);
    EXPECT_EQ(describe(server.out, Version::kV5).size(), 2U);
    server.session.release_memory();
    server.connection.release_memory();
  }
}

}  // namespace
}  // namespace sluice::mqtt
