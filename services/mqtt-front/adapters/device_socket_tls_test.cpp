// What a socket does about bytes that TLS does not get to see: one loop, real connections, fakes
// behind the broker.
#include "testing/one_loop.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/planted_bug.h>
#include <sluice/crypto/testing/test_ca.h>
#include <sluice/testing/temp_dir.h>

#include <sys/socket.h>

namespace sluice::front::testing {
namespace {

using namespace std::literals;
using sluice::testing::eventually;

constexpr std::size_t kMostHandshakes = 4;

/// A client's end, which says what a test likes.
class RawDevice {
 public:
  explicit RawDevice(const std::string& address) : socket_(connect_to(address)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  }
  bool send(std::string_view bytes) {
    return ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  /// What comes until the end; nothing where there is another end than that.
  std::string read_to_end() {
    std::string text;
    std::array<char, 256> part{};
    ssize_t size = 0;
    while ((size = ::recv(socket_.fd(), part.data(), part.size(), 0)) > 0) {
      text.append(part.data(), static_cast<std::size_t>(size));
    }
    return size == 0 ? text : "";
  }
  bool is_gone() {
    char byte{};
    errno = 0;  // the end sets none
    return ::recv(socket_.fd(), &byte, 1, 0) <= 0 && errno != EAGAIN;
  }
  bool hears_nothing() {
    char byte{};
    return ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  bool is_reset() {
    int error = 0;
    socklen_t size = sizeof error;
    EXPECT_EQ(::getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error != 0;
  }

 private:
  net::Socket socket_;
};

class SecureSockets : public OneLoop {
 protected:
  void SetUp() override {
    const auto identity = crypto::testing::TestCa().write_identity(folder_.path(), "broker");
    tls_ = *net::TlsContext::open(
        {.cert_file = identity.cert_file, .key_file = identity.key_file, .name = "mqtts"}, nullptr,
        clock_, random_, registry_);
    start({.plans = {{.name = "mqtts",
                      .address = "127.0.0.1:0",
                      .tls = tls_.get(),
                      .connect_timeout = 60s}},
           .admission = {.max_handshakes = kMostHandshakes}});
  }

  /// As many as there may be, each with half a ClientHello. A moment ago the last byte of that
  /// came, which nobody was woken for; all before came 3 s ago.
  void fill_with_slow_devices() {
    for (std::size_t i = 0; i < kMostHandshakes; ++i) {
      EXPECT_TRUE(slow_.emplace_back(address()).send("\x16\x03\x01\x01\x00half of it"s));
      EXPECT_TRUE(eventually([&] { return under_way() == i + 1; }));
    }
    settle();
    put_forward(3s);
    for (RawDevice& device : slow_) EXPECT_TRUE(device.send("x"));
    settle();
  }
  /// A client that is told why, and sends on what it has begun. Whether it finds itself reset.
  bool resets_who_sends_on() {
    RawDevice device(address());
    EXPECT_TRUE(device.send("\x16\x03\x01\x40\x00"s));
    EXPECT_EQ(device.read_to_end(), "\x15\x03\x01\x00\x02\x02\x32"s);  // decode_error
    settle();
    const bool is_sent = device.send(std::string(5000, 'x'));
    settle();
    return !is_sent || device.is_reset();
  }

  sluice::testing::TempDir folder_;
  SystemRandom random_;
  std::unique_ptr<net::TlsContext> tls_;
  std::deque<RawDevice> slow_;
};

TEST_F(SecureSockets, KeepASlowDeviceWhosePartsOfARecordTheKernelHears) {
  fill_with_slow_devices();
  RawDevice newcomer(address());
  EXPECT_TRUE(newcomer.is_gone());
  for (RawDevice& device : slow_) EXPECT_TRUE(device.hears_nothing());
}

TEST_F(SecureSockets, ThatTakeASlowDeviceForASilentOneWouldBeSeen) {
  const ScopedPlantedBug bug("front_overhears_half_records");
  fill_with_slow_devices();
  RawDevice newcomer(address());
  EXPECT_TRUE(slow_.front().is_gone());
  EXPECT_TRUE(newcomer.hears_nothing());
}

TEST_F(SecureSockets, HearOutWhomTheyHaveRefused) {
  EXPECT_FALSE(resets_who_sends_on());
  EXPECT_EQ(under_way(), 0U) << "without keeping others out";
}

TEST_F(SecureSockets, ThatResetWhomTheyHaveRefusedWouldBeSeen) {
  const ScopedPlantedBug bug("front_resets_behind_alerts");
  EXPECT_TRUE(resets_who_sends_on());
}

}  // namespace
}  // namespace sluice::front::testing
