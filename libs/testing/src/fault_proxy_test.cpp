#include <sluice/testing/fault_proxy.h>

#include "sockets.h"

#include <cerrno>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kPatience = 30'000;  // milliseconds; spent only by a test that fails

/// A blocking socket with the few things that these tests do.
class Socket {
 public:
  explicit Socket(Fd fd) : fd_(std::move(fd)) {}

  static Socket connected(const std::string& address, int type = SOCK_STREAM) {
    const SocketAddress to = *parse_address(address);
    Fd fd(::socket(to.storage.ss_family, type | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), to.get(), to.size) != 0)
      throw std::runtime_error("cannot connect to " + address);
    return Socket(std::move(fd));
  }

  void send(std::string_view bytes) {
    ASSERT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// What comes next: bytes, "" for the end of the stream, nullopt for a reset.
  std::optional<std::string> receive(std::size_t at_most = 65'536) {
    pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, kPatience) == 0) throw std::runtime_error("nothing came");
    std::string bytes(at_most, '\0');
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size));
    return bytes;
  }
  std::string receive_exactly(std::size_t size) {
    std::string all;
    while (all.size() < size) {
      const auto more = receive(size - all.size());
      if (!more || more->empty()) return all + " and then the end";
      all += *more;
    }
    return all;
  }
  bool has_something(int milliseconds) {
    pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, milliseconds) > 0;
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  void reset() { close_with_reset(fd_); }
  int get() const { return fd_.get(); }

 private:
  Fd fd_;
};

/// A server that the test plays itself, with a proxy in front.
class TcpProxyTest : public ::testing::Test {
 protected:
  explicit TcpProxyTest(FaultProxy::Options options = {})
      : listener(*listen_on(*parse_address("127.0.0.1:0"), SOCK_STREAM)) {
    options.target = to_text(local_address(listener));
    proxy = *FaultProxy::start(options);
  }

  Socket client() { return Socket::connected(proxy->address()); }
  Socket accepted() {
    pollfd wait{.fd = listener.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, kPatience) == 0) throw std::runtime_error("nobody came");
    return Socket(Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }

  Fd listener;
  std::unique_ptr<FaultProxy> proxy;
};

TEST_F(TcpProxyTest, PassesBytesBothWaysAndCountsThem) {
  Socket near = client();
  Socket far = accepted();
  near.send("request");
  EXPECT_EQ(far.receive_exactly(7), "request");
  far.send("answer");
  EXPECT_EQ(near.receive_exactly(6), "answer");
  const auto stats = proxy->stats();
  EXPECT_EQ(stats.connections, 1U);
  EXPECT_EQ(stats.open_connections, 1U);
  EXPECT_EQ(stats.bytes_up, 7U);
  EXPECT_EQ(stats.bytes_down, 6U);
  EXPECT_EQ(stats.round_trips, 1U);
}

TEST_F(TcpProxyTest, PassesTheEndOfEachStreamOnItsOwn) {
  Socket near = client();
  Socket far = accepted();
  near.send("last words");
  near.finish_sending();
  EXPECT_EQ(far.receive_exactly(10), "last words");
  EXPECT_EQ(far.receive(), "");
  far.send("still here");
  EXPECT_EQ(near.receive_exactly(10), "still here");
  far.finish_sending();
  EXPECT_EQ(near.receive(), "");
  EXPECT_TRUE(eventually([&] { return proxy->stats().open_connections == 0; }));
}

TEST_F(TcpProxyTest, PassesAResetOn) {
  Socket near = client();
  Socket far = accepted();
  near.send("x");
  ASSERT_EQ(far.receive_exactly(1), "x");
  near.reset();
  EXPECT_EQ(far.receive(), std::nullopt);
}

TEST_F(TcpProxyTest, KeepsOrderAndContentUnderDelayAndJitter) {
  Socket near = client();
  Socket far = accepted();
  proxy->set_faults(Direction::kUp, {.delay = 5ms, .jitter = 20ms});
  std::string all;
  for (int i = 0; i < 50; ++i) {
    const std::string piece = std::format("{},", i);
    near.send(piece);
    all += piece;
  }
  EXPECT_EQ(far.receive_exactly(all.size()), all);
}

TEST_F(TcpProxyTest, DelaysOneDirectionAlone) {
  Socket near = client();
  Socket far = accepted();
  proxy->set_faults(Direction::kDown, {.delay = std::chrono::hours(1)});
  far.send("late");
  near.send("prompt");
  EXPECT_EQ(far.receive_exactly(6), "prompt");
  EXPECT_FALSE(near.has_something(20));
}

TEST_F(TcpProxyTest, HoldsBackWhileFrozenAndGoesOnWhenThawed) {
  Socket near = client();
  Socket far = accepted();
  proxy->freeze(Direction::kUp);
  near.send("held");
  far.send("passes");
  EXPECT_EQ(near.receive_exactly(6), "passes");
  EXPECT_FALSE(far.has_something(20));
  proxy->thaw(Direction::kUp);
  EXPECT_EQ(far.receive_exactly(4), "held");
}

TEST_F(TcpProxyTest, MeetsTheSenderWithBackPressureWhileFrozen) {
  Socket near = client();
  Socket far = accepted();
  proxy->freeze();
  const std::string block(1 << 20, 'x');
  std::size_t sent = 0;
  for (;;) {
    const ssize_t size =
        ::send(near.get(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) break;
    sent += static_cast<std::size_t>(size);
    ASSERT_LT(sent, std::size_t{64} << 20) << "it is swallowed without end";
  }
  EXPECT_EQ(errno, EAGAIN);
  proxy->thaw();
  EXPECT_EQ(far.receive_exactly(sent).size(), sent);
}

TEST_F(TcpProxyTest, HidesTheEndOfAPeerWhileFrozen) {
  Socket near = client();
  Socket far = accepted();
  proxy->freeze();
  near.reset();
  EXPECT_FALSE(far.has_something(20));
  proxy->thaw();
  EXPECT_EQ(far.receive(), std::nullopt);
}

TEST_F(TcpProxyTest, SwallowsWhatIsDropped) {
  Socket near = client();
  Socket far = accepted();
  proxy->set_faults(Direction::kDown, {.dropped = true});
  near.send("request");
  EXPECT_EQ(far.receive_exactly(7), "request") << "the request is done";
  far.send("answer");
  far.finish_sending();
  EXPECT_TRUE(eventually([&] { return proxy->stats().dropped_bytes == 6; }));
  EXPECT_FALSE(near.has_something(20)) << "and its answer never comes";
  proxy->reset();
  EXPECT_EQ(near.receive(), std::nullopt);
}

TEST_F(TcpProxyTest, PassesNoMoreThanItsRate) {
  Socket near = client();
  Socket far = accepted();
  proxy->set_faults(Direction::kUp, {.bytes_per_second = 20'000});
  const auto start = std::chrono::steady_clock::now();
  near.send(std::string(10'000, 'x'));
  EXPECT_EQ(far.receive_exactly(10'000).size(), 10'000U);
  // A bound from below alone: 1000 bytes may come at once, the others need 450 ms.
  EXPECT_GE(std::chrono::steady_clock::now() - start, 400ms);
}

TEST_F(TcpProxyTest, ResetsBothSides) {
  Socket near = client();
  Socket far = accepted();
  proxy->reset();
  EXPECT_EQ(near.receive(), std::nullopt);
  EXPECT_EQ(far.receive(), std::nullopt);
  EXPECT_EQ(proxy->stats().open_connections, 0U);
  Socket again = client();
  accepted().send("hello");
  EXPECT_EQ(again.receive_exactly(5), "hello");
}

TEST_F(TcpProxyTest, HalfClosesOneDirection) {
  Socket near = client();
  Socket far = accepted();
  near.send("before");
  EXPECT_EQ(far.receive_exactly(6), "before");
  proxy->half_close(Direction::kUp);
  EXPECT_EQ(far.receive(), "");
  near.send("thrown away");
  far.send("goes on");
  EXPECT_EQ(near.receive_exactly(7), "goes on");
}

TEST_F(TcpProxyTest, RefusesNewConnectionsAndKeepsPresentOnes) {
  Socket near = client();
  Socket far = accepted();
  proxy->refuse_connections(true);
  EXPECT_EQ(client().receive(), std::nullopt);
  near.send("x");
  EXPECT_EQ(far.receive_exactly(1), "x");
  EXPECT_EQ(proxy->stats().refused, 1U);
  proxy->heal();
  Socket again = client();
  again.send("y");
  EXPECT_EQ(accepted().receive_exactly(1), "y");
}

TEST_F(TcpProxyTest, RefusesWhenTheTargetDoes) {
  ::shutdown(listener.get(), SHUT_RDWR);
  listener.close();
  EXPECT_EQ(client().receive(), std::nullopt);
  EXPECT_TRUE(eventually([&] { return proxy->stats().refused == 1; }));
}

class SmallTcpProxyTest : public TcpProxyTest {
 protected:
  SmallTcpProxyTest() : TcpProxyTest({.target = "", .buffer_bytes = 100, .max_connections = 1}) {}
};

TEST_F(SmallTcpProxyTest, PassesMoreThanItHolds) {
  Socket near = client();
  Socket far = accepted();
  near.send(std::string(10'000, 'x'));
  EXPECT_EQ(far.receive_exactly(10'000).size(), 10'000U);
}

TEST_F(SmallTcpProxyTest, RefusesOneConnectionTooMany) {
  Socket near = client();
  Socket far = accepted();
  EXPECT_EQ(client().receive(), std::nullopt);
  near.send("x");
  EXPECT_EQ(far.receive_exactly(1), "x");
}

class UdpProxyTest : public ::testing::Test {
 protected:
  explicit UdpProxyTest(FaultProxy::Options options = {})
      : server(*listen_on(*parse_address("127.0.0.1:0"), SOCK_DGRAM)) {
    options.target = to_text(local_address(server));
    options.protocol = FaultProxy::Protocol::kUdp;
    proxy = *FaultProxy::start(options);
  }

  Socket client() { return Socket::connected(proxy->address(), SOCK_DGRAM); }
  /// Takes one datagram at the server and answers it in capitals.
  std::string serve_one() {
    pollfd wait{.fd = server.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, kPatience) == 0) throw std::runtime_error("nothing came");
    SocketAddress from;
    from.size = sizeof from.storage;
    char buffer[2048];
    const ssize_t size = ::recvfrom(server.get(), buffer, sizeof buffer, 0, from.get(), &from.size);
    std::string request(buffer, static_cast<std::size_t>(size));
    const std::string answer = "re:" + request;
    ::sendto(server.get(), answer.data(), answer.size(), 0, from.get(), from.size);
    return request;
  }
  bool server_has_something(int milliseconds) {
    pollfd wait{.fd = server.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, milliseconds) > 0;
  }

  Fd server;
  std::unique_ptr<FaultProxy> proxy;
};

TEST_F(UdpProxyTest, BringsAnswersBackToWhoAsked) {
  Socket one = client();
  Socket other = client();
  one.send("one");
  EXPECT_EQ(serve_one(), "one");
  other.send("other");
  EXPECT_EQ(serve_one(), "other");
  EXPECT_EQ(other.receive(), "re:other");
  EXPECT_EQ(one.receive(), "re:one");
  EXPECT_EQ(proxy->stats().connections, 2U);
}

TEST_F(UdpProxyTest, LosesTheShareThatItIsTold) {
  Socket near = client();
  proxy->set_faults(Direction::kUp, {.loss = 0.5});
  for (int i = 0; i < 200; ++i) near.send("x");
  std::uint64_t arrived = 0;
  EXPECT_TRUE(eventually([&] {
    while (server_has_something(0)) {
      serve_one();
      ++arrived;
    }
    return arrived + proxy->stats().lost_datagrams == 200;
  }));
  EXPECT_GT(arrived, 50U);
  EXPECT_LT(arrived, 150U);
}

TEST_F(UdpProxyTest, LetsDatagramsOvertakeEachOther) {
  Socket near = client();
  proxy->set_faults(Direction::kUp, {.delay = std::chrono::hours(1)});
  near.send("slow");
  ASSERT_TRUE(eventually([&] { return proxy->stats().connections == 1; }));
  proxy->set_faults(Direction::kUp, {});
  near.send("quick");
  EXPECT_EQ(serve_one(), "quick");
}

TEST_F(UdpProxyTest, HoldsBackWhileFrozenAndForgetsAtReset) {
  Socket near = client();
  proxy->freeze();
  near.send("held");
  EXPECT_FALSE(server_has_something(20));
  proxy->thaw();
  EXPECT_EQ(serve_one(), "held");
  EXPECT_EQ(near.receive(), "re:held");
  proxy->reset();
  EXPECT_EQ(proxy->stats().open_connections, 0U);
  near.send("again");
  EXPECT_EQ(serve_one(), "again");
}

TEST_F(UdpProxyTest, IgnoresNewAddressesWhileItRefuses) {
  Socket near = client();
  proxy->refuse_connections(true);
  near.send("x");
  EXPECT_TRUE(eventually([&] { return proxy->stats().refused == 1; }));
  EXPECT_FALSE(server_has_something(0));
}

class SmallUdpProxyTest : public UdpProxyTest {
 protected:
  SmallUdpProxyTest() : UdpProxyTest({.target = "", .buffer_bytes = 10}) {}
};

TEST_F(SmallUdpProxyTest, LosesWhatItsBufferDoesNotHold) {
  Socket near = client();
  proxy->set_faults(Direction::kUp, {.delay = std::chrono::hours(1)});
  near.send("123456");
  near.send("789012");
  EXPECT_TRUE(eventually([&] { return proxy->stats().lost_datagrams == 1; }));
}

TEST(FaultProxyStart, SaysWhatIsWrongWithAnAddress) {
  for (const auto* target : {"", "localhost:1", "127.0.0.1", "127.0.0.1:x"}) {
    const auto proxy = FaultProxy::start({.target = target});
    ASSERT_FALSE(proxy) << target;
    EXPECT_EQ(proxy.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(FaultCommand, SetsWhatTheLineSays) {
  const auto proxy = *FaultProxy::start({.target = "127.0.0.1:1"});
  const auto run = [&](std::string_view line) {
    return run_fault_command(*proxy, line).value_or("error");
  };
  EXPECT_EQ(run("delay both 100ms 2s"), "ok");
  EXPECT_EQ(run(" loss  down 0.25 "), "ok");
  EXPECT_EQ(run("throttle up 16384"), "ok");
  EXPECT_EQ(run("freeze up"), "ok");
  EXPECT_EQ(run("drop down on"), "ok");
  EXPECT_EQ(proxy->faults(Direction::kUp).delay, 100ms);
  EXPECT_EQ(proxy->faults(Direction::kUp).bytes_per_second, 16'384U);
  EXPECT_TRUE(proxy->faults(Direction::kUp).frozen);
  EXPECT_FALSE(proxy->faults(Direction::kUp).dropped);
  EXPECT_EQ(proxy->faults(Direction::kDown).jitter, 2s);
  EXPECT_EQ(proxy->faults(Direction::kDown).loss, 0.25);
  EXPECT_TRUE(proxy->faults(Direction::kDown).dropped);
  for (const auto* line : {"thaw", "half-close up", "reset", "refuse on", "heal"})
    EXPECT_EQ(run(line), "ok") << line;
  EXPECT_EQ(proxy->faults(Direction::kUp).delay, 0ms);
  EXPECT_TRUE(run("stats").starts_with("connections=0 "));
}

TEST(FaultCommand, RefusesWhatItCannotRead) {
  const auto proxy = *FaultProxy::start({.target = "127.0.0.1:1"});
  for (const auto* line : {"", "freez", "delay up", "delay up 5", "delay sideways 5ms", "loss up 2",
                           "loss up nan", "throttle up -1", "drop up", "drop up maybe",
                           "half-close", "refuse", "reset now", "delay up 1ms 2ms 3ms"}) {
    const auto answer = run_fault_command(*proxy, line);
    ASSERT_FALSE(answer) << line;
    EXPECT_EQ(answer.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(FaultProxyProgram, PrintsItsAddressAndEndsWithItsInput) {
  const auto result = run_program({.program = built_program("sluice-fault-proxy"),
                                   .arguments = {"--target", "127.0.0.1:1"},
                                   .address_file = false});
  EXPECT_EQ(result.status, ExitStatus{.code = 0});
  EXPECT_TRUE(result.standard_output.starts_with("127.0.0.1:")) << result.standard_output;
  const auto usage =
      run_program({.program = built_program("sluice-fault-proxy"), .address_file = false});
  EXPECT_EQ(usage.status, ExitStatus{.code = 2});
}

TEST(FaultProxyProgram, TakesCommandsAndAnswersEach) {
  const auto result =
      run_program({.program = "/bin/sh",
                   .arguments = {"-c", "printf 'freeze\\nnonsense\\nstats\\n' | " +
                                           built_program("sluice-fault-proxy").string() +
                                           " --target 127.0.0.1:1 --udp --seed 7"},
                   .address_file = false});
  EXPECT_TRUE(result.standard_output.contains("\nok\nerror: cannot read \"nonsense\""))
      << result.standard_output;
  EXPECT_TRUE(result.standard_output.contains("\nconnections=0 "));
}

}  // namespace
}  // namespace sluice::testing
