#include "record_socket.h"

#include "test_peer.h"

#include <array>
#include <cerrno>
#include <string>

#include <sluice/base/planted_bug.h>
#include <sluice/net/socket.h>

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace sluice::net {
namespace {

constexpr std::size_t kHeader = 5;
constexpr HandshakeBounds kBounds{.hello = 4096, .all = 8192};

/// A record whose body has so many bytes.
std::string record(std::size_t body, char type = 23) {
  std::string out{type, 3, 3, static_cast<char>(body >> 8), static_cast<char>(body & 0xFF)};
  return out.append(body, 'b');
}

class RecordSocketTest : public ::testing::Test {
 protected:
  /// Returns when the other end's kernel has it.
  void send(const std::string& bytes) {
    const int before = in_kernel();
    ASSERT_EQ(::send(pair_.far.fd(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    while (in_kernel() < before + static_cast<int>(bytes.size())) {
    }
  }
  int in_kernel() const {
    int count = 0;
    EXPECT_EQ(ioctl(pair_.near.fd(), FIONREAD, &count), 0);
    return count;
  }
  int wakes_at() const {
    int value = 0;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(pair_.near.fd(), SOL_SOCKET, SO_RCVLOWAT, &value, &size), 0);
    return value;
  }
  /// One read after an event; -errno where it fails.
  int read(std::size_t room = 4096) {
    socket_.rearm();
    return read_on(room);
  }
  int read_on(std::size_t room = 4096) {
    const ssize_t count = socket_.read(std::span(buffer_).first(room));
    return count < 0 ? -errno : static_cast<int>(count);
  }

  void answer() {
    const char byte = 'a';
    EXPECT_EQ(socket_.write({&byte, 1}), 1);
  }

  TcpPair pair_;
  RecordSocket socket_{pair_.near.fd(), kBounds};
  std::array<char, 32 * 1024> buffer_{};
};

TEST_F(RecordSocketTest, LeavesARecordInTheKernelUntilItIsAllThere) {
  const std::string all = record(1000);
  send(all.substr(0, 3));
  EXPECT_EQ(read(), -EAGAIN);
  EXPECT_EQ(wakes_at(), 5);
  send(all.substr(3, 1001));
  EXPECT_EQ(read(), -EAGAIN);
  EXPECT_EQ(in_kernel(), 1004);
  EXPECT_EQ(wakes_at(), 1005);  // not for each segment
  send(all.substr(1004));
  EXPECT_EQ(read(), 1005);
  EXPECT_EQ(wakes_at(), 1);
  EXPECT_TRUE(socket_.is_drained());
}

TEST_F(RecordSocketTest, WouldBeSeenToTakeHalfARecord) {
  const ScopedPlantedBug bug("net_holds_half_records");
  send(record(1000).substr(0, 500));
  EXPECT_EQ(read(), 500);
  EXPECT_EQ(in_kernel(), 0);
}

TEST_F(RecordSocketTest, TakesAllWholeRecordsAtOnce) {
  send(record(100) + record(200) + record(300).substr(0, 299));
  EXPECT_EQ(read(), 105 + 205);
  EXPECT_EQ(read_on(), -EAGAIN);  // without asking
  EXPECT_EQ(in_kernel(), 299);
  send("12345");
  EXPECT_EQ(read(), -EAGAIN);
  EXPECT_EQ(in_kernel(), 299 + 5);
}

TEST_F(RecordSocketTest, HandsOverALongRecordOnceItIsAllThere) {
  socket_.handshake_is_over();
  const std::string all = record(16 * 1024);
  send(all.substr(0, 16 * 1024));
  EXPECT_EQ(read(), -EAGAIN);
  EXPECT_EQ(in_kernel(), 16 * 1024);
  send(all.substr(16 * 1024) + record(10));
  EXPECT_EQ(read(), 4096);
  // A library reads on until it has the record, and never into the next one.
  EXPECT_EQ(read_on(20'000), 16 * 1024 + 5 - 4096);
  EXPECT_EQ(read_on(), 15);
  EXPECT_EQ(wakes_at(), 1);
}

TEST_F(RecordSocketTest, TakesALongRecordThatComesInManyPieces) {
  answer();
  const std::string all = record(5000, 22);
  for (std::size_t at = 0; at < all.size(); at += 143) {
    EXPECT_EQ(read(), -EAGAIN);
    send(all.substr(at, 143));
  }
  EXPECT_EQ(read(5005), 5005);
}

TEST_F(RecordSocketTest, SaysTheEndOfAPeerThatLeavesInTheMiddleOfARecord) {
  send(record(1000).substr(0, 500));
  EXPECT_EQ(read(), -EAGAIN);
  ASSERT_EQ(::shutdown(pair_.far.fd(), SHUT_WR), 0);
  int got = -EAGAIN;
  while (got == -EAGAIN) got = read();  // the FIN takes its time
  EXPECT_EQ(got, 0);
}

// As if 5 bytes had come between the look at the others and the question for the end: sockets of
// this kind can be told to begin looks that far from the front.
TEST(RecordSocket, DoesNotTakeForTheEndWhatCameTogetherWithTheRestOfARecord) {
  int fds[2] = {};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  const Socket near(fds[0]);
  const Socket far(fds[1]);
  RecordSocket socket(near.fd(), kBounds);
  const std::string sent = "12345" + record(100).substr(0, 100);
  ASSERT_EQ(::send(far.fd(), sent.data(), sent.size(), 0), 105);
  ASSERT_EQ(::shutdown(far.fd(), SHUT_WR), 0);
  const int unseen = 5;
  ASSERT_EQ(setsockopt(near.fd(), SOL_SOCKET, SO_PEEK_OFF, &unseen, sizeof(unseen)), 0);
  std::array<char, 4096> buffer{};
  EXPECT_EQ(socket.read(buffer), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(RecordSocketTest, HandsOverAtOnceWhatIsNoRecord) {
  send("GET / HTTP/1.1\r\n");
  EXPECT_EQ(read(), 16);
  send(record(20'000).substr(0, 100));  // longer than TLS allows
  EXPECT_EQ(read(), 100);
}

TEST_F(RecordSocketTest, RefusesARecordThatThereIsNoRoomForByItsHeader) {
  send(record(kBounds.hello - kHeader + 1).substr(0, kHeader));
  EXPECT_EQ(read(), -EMSGSIZE);
  EXPECT_TRUE(socket_.is_handshake_too_long());
}

TEST_F(RecordSocketTest, TakesAHandshakeOfTheMostThereMayBeAndNoMore) {
  for (std::size_t i = 0; i < 8; ++i) {
    send(record(1024 - kHeader, 22));
    EXPECT_EQ(read(), 1024);
    if (i == 3) answer();
  }
  EXPECT_FALSE(socket_.is_handshake_too_long());
  send(record(1));
  EXPECT_EQ(read(), -EMSGSIZE);
  EXPECT_TRUE(socket_.is_handshake_too_long());
}

TEST_F(RecordSocketTest, TakesLessBeforeTheFirstAnswer) {
  for (std::size_t i = 0; i < 4; ++i) {
    send(record(1024 - kHeader, 22));
    EXPECT_EQ(read(), 1024);
  }
  send(record(1));
  EXPECT_EQ(read(), -EMSGSIZE);
}

TEST_F(RecordSocketTest, DoesNotCountWhatStandsBehindTheHandshake) {
  answer();
  send(record(6000, 22));
  EXPECT_EQ(read(6005), 6005);
  send(record(1000, 22) + record(3000));
  EXPECT_EQ(read(6000), 1005);
  EXPECT_FALSE(socket_.is_handshake_too_long());
  socket_.handshake_is_over();
  EXPECT_EQ(read_on(6000), 3005);
}

TEST_F(RecordSocketTest, TakesWhatIsThereOfAPeerThatIsTrusted) {
  socket_.handshake_is_over();
  send(record(1000).substr(0, 500));
  EXPECT_EQ(read(), -EAGAIN);
  socket_.trust();
  EXPECT_EQ(wakes_at(), 1);
  EXPECT_EQ(read(), 500);
  EXPECT_TRUE(socket_.is_drained());
}

}  // namespace
}  // namespace sluice::net
