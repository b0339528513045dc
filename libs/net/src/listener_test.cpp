#include <sluice/net/listener.h>

#include "test_peer.h"

#include <cerrno>
#include <vector>

#include <sluice/net/stream.h>
#include <sluice/testing/sim_clock.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

class ListenerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Listener> open(Listener::Admission admit = nullptr, bool reuse_port = true,
                                 std::string address = "127.0.0.1:0") {
    auto made = Listener::open(
        *loop_, {.address = std::move(address), .reuse_port = reuse_port, .name = "test"},
        registry_, std::move(admit), [this](Socket socket, const SocketAddress& peer) {
          sockets_.push_back(std::move(socket));
          peers_.push_back(peer);
        });
    EXPECT_TRUE(made) << made.error().message();
    return *std::move(made);
  }
  void run_until(std::size_t accepted) {
    while (sockets_.size() < accepted) loop_->run_once(1h);
  }

  testing::SimClock clock_;
  Registry registry_;
  std::unique_ptr<Loop> loop_ = *Loop::create({}, clock_, registry_);
  std::vector<Socket> sockets_;
  std::vector<SocketAddress> peers_;
};

TEST_F(ListenerTest, AcceptsWithoutDelayAndWithoutBlocking) {
  const auto listener = open();
  const Socket client = connect_to(listener->address());
  run_until(1);
  EXPECT_EQ(peers_[0].ip_text(), "127.0.0.1");
  const int fd = sockets_[0].fd();
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_NE(no_delay, 0);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(Stream(std::move(sockets_[0])).peer(), peers_[0]);
}

TEST_F(ListenerTest, HasTheKernelNoticePeersThatVanish) {
  const auto listener = open();
  const Socket client = connect_to(listener->address());
  run_until(1);
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(sockets_[0].fd(), level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 30 * 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 5);
}

TEST_F(ListenerTest, SharesItsAddressOnlyWhenAskedTo) {
  const auto first = open();
  EXPECT_NE(open(nullptr, true, first->address().text())->address().port, 0);
  const auto alone = open(nullptr, false);
  EXPECT_FALSE(Listener::open(*loop_, {.address = alone->address().text(), .reuse_port = false},
                              registry_, nullptr, [](Socket, const SocketAddress&) {}));
  EXPECT_FALSE(Listener::open(*loop_, {.address = "nonsense"}, registry_, nullptr,
                              [](Socket, const SocketAddress&) {}));
}

TEST_F(ListenerTest, ResetsWhomItDoesNotAdmit) {
  bool is_open = false;
  const auto listener = open([&](const SocketAddress&) { return is_open; });
  const Socket refused = connect_to(listener->address());
  loop_->run_once(1h);
  EXPECT_TRUE(sockets_.empty());
  char c = 0;
  EXPECT_EQ(recv(refused.fd(), &c, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  is_open = true;
  const Socket admitted = connect_to(listener->address());
  run_until(1);
  EXPECT_NE(
      registry_.scrape().find(R"(sluice_net_accepts_total{listener="test",outcome="refused"} 1)"),
      std::string::npos);
}

TEST_F(ListenerTest, LeavesConnectionsInTheBacklogWhilePaused) {
  const auto listener = open();
  listener->pause();
  const Socket client = connect_to(listener->address());
  loop_->run_once(0ms);
  EXPECT_TRUE(sockets_.empty());
  listener->resume();
  run_until(1);
  EXPECT_EQ(sockets_.size(), 1U);
}

TEST_F(ListenerTest, RefusesConnectionsOnceClosed) {
  const auto listener = open();
  listener->close();
  EXPECT_FALSE(try_connect_to(listener->address()).is_open());
}

TEST_F(ListenerTest, PausesInsteadOfSpinningWhenDescriptorsRunOut) {
  const auto listener = open();
  const Socket client = connect_to(listener->address());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(client.fd());  // not one more
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (int i = 0; i < 5; ++i) loop_->run_once(0ms);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(sockets_.empty());
  const std::string metrics = registry_.scrape();
  EXPECT_NE(metrics.find(R"(sluice_net_accept_pauses_total{listener="test"} 1)"), std::string::npos)
      << metrics;
  clock_.advance(1s);
  run_until(1);
  EXPECT_EQ(sockets_.size(), 1U);
}

TEST_F(ListenerTest, TakesNoMoreThanItsBoundInATurn) {
  auto listener = *Listener::open(
      *loop_, {.address = "127.0.0.1:0", .accepts_per_turn = 2, .name = "test"}, registry_, nullptr,
      [this](Socket socket, const SocketAddress&) { sockets_.push_back(std::move(socket)); });
  std::vector<Socket> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(connect_to(listener->address()));
  loop_->run_once(1h);
  EXPECT_EQ(sockets_.size(), 2U);
  run_until(5);
  EXPECT_EQ(sockets_.size(), 5U);
}

}  // namespace
}  // namespace sluice::net
