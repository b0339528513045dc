// One loop with real sockets and fakes behind its broker: what comes before MQTT, and whom an
// answer must not reach.
#include "testing/one_loop.h"

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <sluice/crypto/openssl.h>

#include <fcntl.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;

constexpr auto kPatience = 60s;
const std::string kFirstKey(32, 'a');
const std::string kNextKey(32, 'b');

/// A device that has a pre-shared key.
class KeyDevice {
 public:
  KeyDevice(const std::string& address, std::string identity, std::string key)
      : identity_(std::move(identity)), key_(std::move(key)), socket_(connect_to(address)) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_set_psk_client_callback(context_.get(), give_key);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.fd());
    SSL_set_connect_state(ssl_.get());
    EXPECT_EQ(::fcntl(socket_.fd(), F_SETFL, O_NONBLOCK), 0);
    step();
  }

  /// Whether its handshake succeeds.
  bool is_let_in() {
    return eventually([this] { return step() != SSL_ERROR_WANT_READ; }) && step() == SSL_ERROR_NONE;
  }
  /// Beside its handshake.
  void send_byte() { EXPECT_EQ(::send(socket_.fd(), "x", 1, MSG_NOSIGNAL), 1); }

 private:
  static unsigned give_key(SSL* ssl, const char*, char* identity, unsigned identity_size,
                           unsigned char* key, unsigned key_size) {
    const auto& device = *static_cast<KeyDevice*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    EXPECT_LT(device.identity_.size(), identity_size);
    EXPECT_LE(device.key_.size(), key_size);
    device.identity_.copy(identity, identity_size);
    identity[device.identity_.size()] = '\0';
    device.key_.copy(reinterpret_cast<char*>(key), key_size);
    return static_cast<unsigned>(device.key_.size());
  }
  int step() { return SSL_get_error(ssl_.get(), SSL_do_handshake(ssl_.get())); }

  const std::string identity_;
  const std::string key_;
  net::Socket socket_;
  crypto::SslContextPtr context_;
  crypto::SslPtr ssl_;
};

/// A loop with two listeners for pre-shared keys, one of which has no patience; the test plays the
/// registry.
class PreSharedKeys : public OneLoop {
 protected:
  void SetUp() override {
    psk_ = *net::TlsContext::open_psk({.name = "psk"}, clock_, registry_);
    const auto listener = [this](std::string name, std::chrono::milliseconds patience) {
      return ListenerPlan{.name = std::move(name),
                          .address = "127.0.0.1:0",
                          .tls = psk_.get(),
                          .connect_timeout = patience};
    };
    start({.plans = {listener("hasty", 20ms), listener("psk", kPatience)},
           .find_psk = [this](std::string identity, auto answer) {
             const std::lock_guard lock(mutex_);
             asked_.push_back({std::move(identity), std::move(answer)});
           }});
  }

  const std::string& hasty() const { return address(0); }
  const std::string& patient() const { return address(1); }

  /// How often the registry was asked for a key.
  std::size_t questions() {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }
  void answer(std::size_t question, const std::string& key) {
    std::move_only_function<void(std::optional<Secret>)> done;
    {
      const std::lock_guard lock(mutex_);
      done = std::move(asked_.at(question).answer);
    }
    done(Secret(key));
  }

 private:
  struct Question {
    std::string identity;
    std::move_only_function<void(std::optional<Secret>)> answer;
  };

  std::unique_ptr<net::TlsContext> psk_;
  std::mutex mutex_;  // guards asked_
  std::deque<Question> asked_;
};

TEST_F(PreSharedKeys, LetADeviceInOnceTheRegistryHasAnswered) {
  KeyDevice device(patient(), "first", kFirstKey);
  ASSERT_TRUE(eventually([&] { return questions() == 1; }));
  answer(0, kFirstKey);
  EXPECT_TRUE(device.is_let_in());
}

// The later connection has the descriptor of the one before, and is at the same step.
TEST_F(PreSharedKeys, OfADeviceThatLeftAreNotGivenToWhoCameInItsPlace) {
  {
    const KeyDevice first(hasty(), "first", kFirstKey);
    ASSERT_TRUE(eventually([&] { return questions() == 1; }));
    ASSERT_TRUE(eventually([&] { return under_way() == 0; }));
  }
  KeyDevice next(patient(), "next", kNextKey);
  ASSERT_TRUE(eventually([&] { return questions() == 2; }));
  answer(0, kFirstKey);
  settle();
  answer(1, kNextKey);
  EXPECT_TRUE(next.is_let_in());
}

TEST_F(PreSharedKeys, AreAskedForOnceHoweverManyBytesComeMeanwhile) {
  KeyDevice device(patient(), "first", kFirstKey);
  ASSERT_TRUE(eventually([&] { return questions() == 1; }));
  for (int i = 0; i < 5; ++i) {
    device.send_byte();
    settle();
  }
  EXPECT_EQ(questions(), 1U);
}

TEST_F(PreSharedKeys, GiveNoMoreTimeForConnectThanTheHandshakeLeft) {
  KeyDevice device(patient(), "first", kFirstKey);
  ASSERT_TRUE(eventually([&] { return questions() == 1; }));
  put_forward(kPatience - 10s);
  answer(0, kFirstKey);
  EXPECT_TRUE(device.is_let_in());
  EXPECT_EQ(under_way(), 1U);
  put_forward(20s);
  EXPECT_TRUE(eventually([&] { return under_way() == 0; }));
}

}  // namespace
}  // namespace sluice::front::testing
