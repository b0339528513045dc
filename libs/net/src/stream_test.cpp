#include <sluice/net/stream.h>

#include "test_peer.h"
#include "test_tls_client.h"

#include <filesystem>

#include <sluice/net/loop.h>
#include <sluice/net/tls_context.h>
#include <sluice/testing/eventually.h>

#include <sys/ioctl.h>

namespace sluice::net {
namespace {

using namespace std::literals;
using crypto::testing::TestCa;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes, std::size_t count) {
  return {reinterpret_cast<const char*>(bytes.data()), count};
}

struct PlainPair {
  PlainPair() {
    int fds[2] = {};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    near = Stream(Socket(fds[0]));
    far = Stream(Socket(fds[1]));
  }
  Stream near;
  Stream far;
};

TEST(Stream, ReadsWhatIsThereAndKnowsThatItWasAll) {
  PlainPair pair;
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(pair.near.read(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(pair.far.write(bytes_of("0123456789")).count, 10U);
  const IoResult first = pair.near.read(buffer);
  EXPECT_EQ(first.count, 8U);
  EXPECT_FALSE(first.is_drained);
  const IoResult second = pair.near.read(buffer);
  EXPECT_EQ(text_of(buffer, second.count), "89");
  EXPECT_TRUE(second.is_drained);
  pair.far.shutdown();
  EXPECT_EQ(pair.near.read(buffer).status, IoStatus::kEnd);
}

TEST(Stream, GathersPartsAndStopsWhereThePeerIsSlow) {
  PlainPair pair;
  const std::string big(1 << 20, 'b');
  const std::array<std::span<const std::byte>, 3> parts{bytes_of("head "), bytes_of(""),
                                                        bytes_of(big)};
  const IoResult sent = pair.near.write(parts);
  EXPECT_EQ(sent.status, IoStatus::kOk);
  EXPECT_LT(sent.count, big.size());
  EXPECT_EQ(pair.near.write(bytes_of("more")).status, IoStatus::kWouldBlock);
  std::vector<std::byte> buffer(1 << 20);
  std::size_t got = 0;
  for (IoResult part; (part = pair.far.read(std::span(buffer).subspan(got))).count > 0;) {
    got += part.count;
  }
  EXPECT_EQ(got, sent.count);
  EXPECT_EQ(text_of(buffer, 8), "head bbb");
  EXPECT_EQ(pair.near.write(bytes_of("more")).count, 4U);
}

TEST(Stream, FailsInsteadOfRaisingASignalWhenThePeerIsGone) {
  PlainPair pair;
  pair.far.close();
  EXPECT_EQ(pair.near.write(bytes_of("x")).status, IoStatus::kFailed);
  const std::array<std::span<const std::byte>, 1> parts{bytes_of("x")};
  EXPECT_EQ(pair.near.write(parts).status, IoStatus::kFailed);
}

TEST(Stream, KnowsHowLongAgoTheKernelHeardSomething) {
  TcpPair pair;
  const Stream stream(std::move(pair.near));
  EXPECT_TRUE(sluice::testing::eventually([&] { return stream.quiet_for() >= 200ms; }));
  EXPECT_TRUE(sluice::testing::eventually([&] {
    return send(pair.far.fd(), "x", 1, MSG_NOSIGNAL) == 1 && stream.quiet_for() < 200ms;
  }));
  EXPECT_EQ(PlainPair().near.quiet_for(), std::chrono::milliseconds::max()) << "no TCP";
}

TEST(Stream, NeedsNoHandshakeWithoutTls) {
  PlainPair pair;
  EXPECT_EQ(pair.near.handshake(), Handshake::kDone);
  EXPECT_FALSE(pair.near.take_identity());
  EXPECT_EQ(pair.near.protocol(), "");
}

class TlsStreamTest : public ::testing::TestWithParam<TlsKind> {
 protected:
  TlsStreamTest() {
    static std::atomic<int> counter = 0;
    folder_ = ::testing::TempDir() + "sluice_stream_" + std::to_string(getpid()) + "_" +
              std::to_string(counter++);
    const auto identity = TestCa().write_identity(folder_, "broker");
    context_ = *TlsContext::open({.cert_file = identity.cert_file,
                                  .key_file = identity.key_file,
                                  .name = "test",
                                  .library = GetParam().library},
                                 nullptr, clock_, random_, registry_);
    psk_context_ = *TlsContext::open_psk({.name = "psk"}, clock_, registry_);
  }
  ~TlsStreamTest() override { std::filesystem::remove_all(folder_); }

  static int version() { return GetParam().version; }
  ClientSetup psk(const std::string& identity, const std::string& key) const {
    return {.version = version(), .psk_identity = identity, .psk = key};
  }

  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  std::string folder_;
  std::unique_ptr<TlsContext> context_;
  std::unique_ptr<TlsContext> psk_context_;
};

INSTANTIATE_TEST_SUITE_P(Tls, TlsStreamTest,
                         ::testing::ValuesIn(tls_kinds({TLS1_2_VERSION, TLS1_3_VERSION})), name_of);

constexpr char kKey[] = "0123456789abcdef0123456789abcdef";

TEST_P(TlsStreamTest, CarriesBytesBothWays) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  EXPECT_EQ(server.protocol(), version() == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
  client.send("one");
  client.send("two");
  std::array<std::byte, 4096> buffer{};
  const IoResult got = server.read(buffer);
  EXPECT_EQ(text_of(buffer, got.count), "onetwo");  // both records in one go
  EXPECT_TRUE(got.is_drained);
  EXPECT_EQ(server.read(buffer).status, IoStatus::kWouldBlock);
  const std::array<std::span<const std::byte>, 2> parts{bytes_of("three"), bytes_of("four")};
  EXPECT_EQ(server.write(parts).count, 9U);
  client.receive();
  EXPECT_EQ(client.received(), "threefour");
  server.shutdown();
  client.receive();
  EXPECT_EQ(client.alert(), SSL_AD_CLOSE_NOTIFY);
  SSL_shutdown(client.ssl());
  EXPECT_EQ(server.read(buffer).status, IoStatus::kEnd);
}

TEST_P(TlsStreamTest, TakesRecordsOfAnyLength) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  const std::string sent = "short" + std::string(16 * 1024, 'l') + std::string(5000, 'm') + "end";
  client.send(sent.substr(0, 5));
  client.send(sent.substr(5, 16 * 1024));
  client.send(sent.substr(5 + 16 * 1024));
  std::string got;
  std::array<std::byte, 10'000> buffer{};
  for (bool is_drained = false; !is_drained;) {
    const IoResult part = server.read(buffer);
    got += text_of(buffer, part.count);
    is_drained = part.is_drained;
  }
  EXPECT_EQ(got, sent);
}

TEST_P(TlsStreamTest, CarriesOnWhereASlowPeerStoppedIt) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  std::string all(3 << 20, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 31 + i / 977);
  std::size_t sent = 0;
  int stops = 0;
  while (sent < all.size()) {
    // A copy elsewhere each time, as an owner's buffer that moves.
    const std::string rest = all.substr(sent, 100'000);
    const IoResult result = server.write(bytes_of(rest));
    ASSERT_NE(result.status, IoStatus::kFailed);
    sent += result.count;
    if (result.status != IoStatus::kWouldBlock) continue;
    ++stops;
    client.receive();
  }
  client.receive();
  EXPECT_GT(stops, 0);
  EXPECT_EQ(client.received(), all);
}

TEST_P(TlsStreamTest, WaitsForASlowHandshakePieceByPiece) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  // The client's bytes pass through our hands, a few at a time.
  int fds[2] = {};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  const Socket middle(fds[0]);
  SSL_set_fd(client.ssl(), fds[1]);
  const Socket client_end(fds[1]);
  Handshake state = Handshake::kWaiting;
  const Socket to_server(dup(client.socket().fd()));
  for (int turn = 0; turn < 20 && state == Handshake::kWaiting; ++turn) {
    client.step();
    std::array<char, 11> part{};
    while (state == Handshake::kWaiting) {
      const ssize_t size = recv(middle.fd(), part.data(), part.size(), 0);
      if (size <= 0) break;
      ASSERT_EQ(send(to_server.fd(), part.data(), static_cast<std::size_t>(size), 0), size);
      state = server.handshake();
    }
    std::array<char, 16'384> back{};
    const ssize_t count = recv(to_server.fd(), back.data(), back.size(), 0);
    if (count > 0) {
      ASSERT_EQ(send(middle.fd(), back.data(), static_cast<std::size_t>(count), 0), count);
    }
  }
  EXPECT_EQ(state, Handshake::kDone);
}

TEST_P(TlsStreamTest, FailsAPeerThatSpeaksSomethingElseOrLeaves) {
  PlainPair garbage;
  Stream server = *context_->accept(Socket(dup(garbage.near.fd())));
  EXPECT_EQ(server.handshake(), Handshake::kWaiting);
  EXPECT_EQ(garbage.far.write(bytes_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).count, 27U);
  EXPECT_EQ(server.handshake(), Handshake::kFailed);
  EXPECT_EQ(server.failure(), "not_tls");
  std::array<std::byte, 16> buffer{};
  EXPECT_EQ(server.read(buffer).status, IoStatus::kFailed);
  EXPECT_EQ(server.write(bytes_of("x")).status, IoStatus::kFailed);

  TestClient client({.version = version()});
  Stream left = *context_->accept(client.server_end());
  client.step();
  EXPECT_EQ(left.handshake(), Handshake::kWaiting);
  client.socket().close();
  EXPECT_EQ(left.handshake(), Handshake::kFailed);
  EXPECT_EQ(left.failure(), "closed");
}

TEST_P(TlsStreamTest, HoldsNothingOfHalfARecordBeforeThePeerIsTrusted) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  const std::string half = "\x17\x03\x03\x40\x00"s + std::string(8000, 'x');
  ASSERT_EQ(send(client.socket().fd(), half.data(), half.size(), 0), 8005);
  std::array<std::byte, 4096> buffer{};
  const auto in_kernel = [&] {
    int count = 0;
    EXPECT_EQ(ioctl(server.fd(), FIONREAD, &count), 0);
    return count;
  };
  EXPECT_EQ(server.read(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(in_kernel(), 8005);
  server.trust();
  EXPECT_EQ(server.read(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(in_kernel(), 0);
}

TEST_P(TlsStreamTest, RefusesAHandshakeThatBeginsTooLong) {
  PlainPair pair;
  Stream server = *context_->accept(Socket(dup(pair.near.fd())));
  // 16 KiB and more, which no library takes.
  EXPECT_EQ(pair.far.write(bytes_of("\x16\x03\x01\x40\x00\x01\x00\x3F\xFC"s)).count, 9U);
  EXPECT_EQ(server.handshake(), Handshake::kFailed);
  EXPECT_EQ(server.failure(), "too_long");
  std::array<std::byte, 64> buffer{};
  const IoResult got = pair.far.read(buffer);
  // OpenSSL has no way to send an alert of ours.
  if (GetParam().library == TlsLibrary::kBest) {
    EXPECT_EQ(text_of(buffer, got.count), "\x15\x03\x01\x00\x02\x02\x32"s);  // decode_error
  }
}

TEST_P(TlsStreamTest, ReadsAwayWhatAPeerStillSendsThatWasRefused) {
  PlainPair pair;
  Stream server = *context_->accept(Socket(dup(pair.near.fd())));
  EXPECT_EQ(pair.far.write(bytes_of("\x16\x03\x01\x40\x00\x01\x00\x3F\xFC"s)).count, 9U);
  EXPECT_EQ(server.handshake(), Handshake::kFailed);
  EXPECT_EQ(pair.far.write(bytes_of("and so on")).count, 9U);
  std::array<std::byte, 64> buffer{};
  const IoResult got = server.discard(buffer);
  EXPECT_EQ(got.count, 18U);
  EXPECT_TRUE(got.is_drained);
  EXPECT_EQ(server.discard(buffer).status, IoStatus::kWouldBlock);
  pair.far.shutdown();
  EXPECT_EQ(server.discard(buffer).status, IoStatus::kEnd);
}

TEST_P(TlsStreamTest, GoesFromOneLoopToAnother) {
  const auto first = *Loop::create({}, clock_, registry_);
  const auto second = *Loop::create({}, clock_, registry_);
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  struct Reader final : FdHandler {
    explicit Reader(Stream& of) : stream(of) {}
    void on_ready(std::uint32_t) override {
      std::array<std::byte, 256> buffer{};
      for (IoResult got; (got = stream.read(buffer)).count > 0;) {
        text += text_of(buffer, got.count);
        if (got.is_drained) break;
      }
    }
    Stream& stream;
    std::string text{};
  };
  Reader before(server);
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  ASSERT_TRUE(first->add(server.fd(), kStreamEvents, before));
  client.send("a");
  while (before.text.empty()) first->run_once(std::chrono::hours(1));
  client.send("b");  // arrives in between
  first->remove(server.fd());
  Stream moved = std::move(server);
  Reader after(moved);
  ASSERT_TRUE(second->add(moved.fd(), kStreamEvents, after));
  while (after.text.empty()) second->run_once(std::chrono::hours(1));
  EXPECT_EQ(before.text, "a");
  EXPECT_EQ(after.text, "b");
}

TEST_P(TlsStreamTest, SurvivesKeyUpdatesAndRenegotiation) {
  TestClient client({.version = version()});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  std::array<std::byte, 64> buffer{};
  if (version() == TLS1_3_VERSION) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    client.send("new keys");
    EXPECT_EQ(server.read(buffer).count, 8U);
    EXPECT_EQ(server.write(bytes_of("ours too")).count, 8U);
    client.receive();
    EXPECT_EQ(client.received(), "ours too");
  } else {
    SSL_renegotiate(client.ssl());
    SSL_do_handshake(client.ssl());
    EXPECT_NE(server.read(buffer).status, IoStatus::kOk);
    client.receive();
    EXPECT_EQ(client.alert(), SSL_AD_NO_RENEGOTIATION);
  }
}

TEST_P(TlsStreamTest, WaitsForAPreSharedKey) {
  TestClient client(psk("tenant/device", kKey));
  Stream server = *psk_context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kNeedPsk);
  EXPECT_EQ(server.psk_identity(), "tenant/device");
  EXPECT_EQ(server.handshake(), Handshake::kNeedPsk);  // patient
  server.answer_psk(Secret(kKey));
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone) << server.failure();
  EXPECT_FALSE(server.is_resumed());
  EXPECT_EQ(server.take_psk_identity(), "tenant/device");
  client.send("hello");
  std::array<std::byte, 64> buffer{};
  EXPECT_EQ(server.read(buffer).count, 5U);
  EXPECT_FALSE(client.take_session());
}

TEST_P(TlsStreamTest, RefusesUnknownWrongAndShortKeys) {
  const auto answer = [&](std::optional<Secret> key) {
    TestClient client(psk("device", kKey));
    Stream server = *psk_context_->accept(client.server_end());
    EXPECT_EQ(shake_hands(client, server), Handshake::kNeedPsk);
    server.answer_psk(std::move(key));
    EXPECT_EQ(shake_hands(client, server), Handshake::kFailed);
    EXPECT_NE(client.alert(), -1);
    return std::string(server.failure());
  };
  EXPECT_EQ(answer(std::nullopt), "unknown_psk");
  EXPECT_EQ(answer(Secret("short")), "unknown_psk");
  EXPECT_EQ(answer(Secret(std::string(32, 'w'))), "bad_proof");
}

TEST_P(TlsStreamTest, RefusesClientsWithoutAPreSharedKey) {
  TestClient client({.version = version()});
  Stream server = *psk_context_->accept(client.server_end());
  EXPECT_EQ(shake_hands(client, server), Handshake::kFailed);
  EXPECT_EQ(client.alert(), SSL_AD_HANDSHAKE_FAILURE);
}

TEST_P(TlsStreamTest, MayBeDestroyedWhileAKeyIsLookedUp) {
  TestClient client(psk("device", kKey));
  {
    Stream server = *psk_context_->accept(client.server_end());
    ASSERT_EQ(shake_hands(client, server), Handshake::kNeedPsk);
  }
  std::array<char, 4096> rest{};
  ssize_t count = 0;
  while ((count = recv(client.socket().fd(), rest.data(), rest.size(), 0)) > 0) {
  }
  EXPECT_FALSE(count < 0 && errno == EAGAIN);  // the end: nothing is left open
  // The thread's next handshake finds everything in order.
  TestClient next(psk("device", kKey));
  Stream server = *psk_context_->accept(next.server_end());
  ASSERT_EQ(shake_hands(next, server), Handshake::kNeedPsk);
  server.answer_psk(Secret(kKey));
  EXPECT_EQ(shake_hands(next, server), Handshake::kDone);
}

/// What only TLS 1.3 has.
class NewTlsStreamTest : public TlsStreamTest {};
INSTANTIATE_TEST_SUITE_P(Tls, NewTlsStreamTest, ::testing::ValuesIn(tls_kinds({TLS1_3_VERSION})),
                         name_of);

TEST_P(NewTlsStreamTest, SpeaksEverySuiteThatTheClientCannotDoWithout) {
  for (const std::string suite :
       {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    TestClient client({.version = version(), .ciphers13 = suite});
    Stream server = *context_->accept(client.server_end());
    ASSERT_EQ(shake_hands(client, server), Handshake::kDone) << suite;
    EXPECT_EQ(SSL_get_cipher_name(client.ssl()), suite);
  }
}

TEST_P(NewTlsStreamTest, TakesChaCha20OfAClientThatPrefersIt) {
  TestClient client({.version = version(),
                     .ciphers13 = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_AES_128_GCM_SHA256"});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  EXPECT_STREQ(SSL_get_cipher_name(client.ssl()), "TLS_CHACHA20_POLY1305_SHA256");
}

TEST_P(NewTlsStreamTest, SparesAClientThatBeginsWithAes256ByHabit) {
  TestClient client({.version = version(),
                     .ciphers13 = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
                                  "TLS_AES_128_GCM_SHA256"});
  Stream server = *context_->accept(client.server_end());
  ASSERT_EQ(shake_hands(client, server), Handshake::kDone);
  // OpenSSL goes by the client's order.
  const bool is_aws_lc = GetParam().library == TlsLibrary::kBest;
  EXPECT_STREQ(SSL_get_cipher_name(client.ssl()),
               is_aws_lc ? "TLS_AES_128_GCM_SHA256" : "TLS_AES_256_GCM_SHA384");
}

/// What only TLS 1.2 has.
class OldTlsStreamTest : public TlsStreamTest {};
INSTANTIATE_TEST_SUITE_P(Tls, OldTlsStreamTest, ::testing::ValuesIn(tls_kinds({TLS1_2_VERSION})),
                         name_of);

TEST_P(OldTlsStreamTest, SpeaksNoOtherPskSuites) {
  for (const char* weak :
       {"PSK-AES128-GCM-SHA256", "ECDHE-PSK-AES128-CBC-SHA256", "DHE-PSK-AES128-GCM-SHA256"}) {
    ClientSetup setup = psk("device", kKey);
    setup.ciphers12 = weak;
    TestClient client(setup);
    Stream server = *psk_context_->accept(client.server_end());
    EXPECT_EQ(shake_hands(client, server), Handshake::kFailed) << weak;
  }
}

}  // namespace
}  // namespace sluice::net
