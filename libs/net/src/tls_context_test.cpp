#include <sluice/net/tls_context.h>

#include "test_tls_client.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <sluice/base/encoding.h>
#include <sluice/testing/sim_clock.h>

#include <openssl/bn.h>
#include <openssl/params.h>

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using crypto::testing::TestCa;
using crypto::testing::TestCertificate;

std::string read_name(X509* x509) {
  std::array<char, 64> out{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, out.data(), 64);
  return out.data();
}

/// Fits the certificate of the first as far as OpenSSL checks, and signs as the second.
KeyPtr public_of_one_private_of_other(const std::string& one_pem, const std::string& other_pem) {
  const BioPtr one_text = reader_of(one_pem);
  const BioPtr other_text = reader_of(other_pem);
  const KeyPtr one(PEM_read_bio_PrivateKey(one_text.get(), nullptr, nullptr, nullptr));
  const KeyPtr other(PEM_read_bio_PrivateKey(other_text.get(), nullptr, nullptr, nullptr));
  std::array<unsigned char, 133> point{};
  std::size_t size = 0;
  BIGNUM* scalar = nullptr;
  EXPECT_EQ(EVP_PKEY_get_octet_string_param(one.get(), "pub", point.data(), point.size(), &size),
            1);
  EXPECT_EQ(EVP_PKEY_get_bn_param(other.get(), "priv", &scalar), 1);
  const std::unique_ptr<BIGNUM, Free<BN_free>> owner(scalar);
  std::array<unsigned char, 32> bytes{};
  EXPECT_EQ(BN_bn2nativepad(scalar, bytes.data(), static_cast<int>(bytes.size())), 32);
  char group[] = "P-256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("group", group, 0),
                         OSSL_PARAM_construct_octet_string("pub", point.data(), size),
                         OSSL_PARAM_construct_BN("priv", bytes.data(), bytes.size()),
                         OSSL_PARAM_END};
  const std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>> maker(
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_fromdata_init(maker.get()), 1);
  EXPECT_EQ(EVP_PKEY_fromdata(maker.get(), &made, EVP_PKEY_KEYPAIR, params), 1);
  return KeyPtr(made);
}

class TlsContextTest : public ::testing::TestWithParam<TlsKind> {
 protected:
  TlsContextTest() : clock_(SystemClock().wall()) {
    static std::atomic<int> counter = 0;
    folder_ = ::testing::TempDir() + "sluice_net_" + std::to_string(getpid()) + "_" +
              std::to_string(counter++);
    std::filesystem::create_directories(folder_);
    own_ca_.write_identity(folder_, "broker");
    write("devices.pem", device_ca_.cert_pem());
    write("tickets", ticket_line("a", 'a'));
  }
  ~TlsContextTest() override { std::filesystem::remove_all(folder_); }

  static int version() { return GetParam().version; }
  static bool is_aws_lc() { return GetParam().library == TlsLibrary::kBest; }
  void write(const std::string& name, const std::string& content) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new", std::ios::binary) << content;
    std::filesystem::rename(path + ".new", path);
  }
  static std::string ticket_line(const std::string& id, char fill) {
    return id + " " + to_base64url(std::string(32, fill)) + "\n";
  }
  TlsOptions options(ClientCertificates mode = ClientCertificates::kRequired) const {
    return {.cert_file = folder_ + "/tls.crt",
            .key_file = folder_ + "/tls.key",
            .client_certificates = mode,
            .client_ca_file = folder_ + "/devices.pem",
            .ticket_key_file = folder_ + "/tickets",
            .name = "test",
            .library = GetParam().library};
  }
  std::unique_ptr<TlsContext> open(TlsOptions with) {
    auto made = TlsContext::open(
        std::move(with),
        [this](const PeerIdentity& identity) {
          ++revocation_checks_;
          return revoked_.contains(identity.common_name);
        },
        clock_, random_, registry_);
    EXPECT_TRUE(made) << made.error().message();
    return *std::move(made);
  }
  std::unique_ptr<TlsContext> open() { return open(options()); }
  TestCertificate device(const std::string& name = "device-1", std::chrono::seconds until = 24h) {
    return device_ca_.issue({.common_name = name,
                             .organization = "acme",
                             .uri_names = {"urn:device:" + name},
                             .valid_until = until,
                             .is_server = false});
  }
  ClientSetup with(const TestCertificate& certificate, SSL_SESSION* session = nullptr) const {
    return {.version = version(), .certificate = certificate, .session = session};
  }

  struct Outcome {
    Handshake state;
    std::string failure;
    int alert;
    bool is_resumed;
    PeerIdentityPtr identity;
    SslSessionPtr session;
  };
  /// With which AWS-LC sends the ticket along, in TLS 1.3.
  static void greet(TestClient& client, Stream& server) {
    const std::array<std::byte, 1> hello{};
    EXPECT_EQ(server.write(hello).count, 1U);
    client.step();
  }
  /// One connection from its start to its end.
  Outcome connect(TlsContext& context, const ClientSetup& setup) {
    TestClient client(setup);
    Stream server = *context.accept(client.server_end());
    const Handshake state = shake_hands(client, server);
    if (state == Handshake::kDone) greet(client, server);
    Outcome out{.state = state,
                .failure = std::string(server.failure()),
                .alert = client.alert(),
                .is_resumed = server.is_resumed(),
                .identity = server.take_identity(),
                .session = client.take_session()};
    EXPECT_EQ(out.is_resumed, state == Handshake::kDone && client.is_resumed());
    return out;
  }
  double metric(const std::string& series) const {
    const std::string text = registry_.scrape();
    const std::size_t at = text.find(series + " ");
    return at == text.npos ? 0 : std::stod(text.substr(at + series.size()));
  }
  double verified(const std::string& outcome) const {
    return metric("sluice_net_chain_verifications_total{listener=\"test\",outcome=\"" + outcome +
                  "\"}");
  }

  testing::SimClock clock_;
  SystemRandom random_;
  Registry registry_;
  TestCa own_ca_;
  TestCa device_ca_{"Devices"};
  std::set<std::string> revoked_;
  int revocation_checks_ = 0;
  std::string folder_;
};

INSTANTIATE_TEST_SUITE_P(Tls, TlsContextTest,
                         ::testing::ValuesIn(tls_kinds({TLS1_2_VERSION, TLS1_3_VERSION})), name_of);

TEST_P(TlsContextTest, LearnsWhoTheClientIs) {
  const auto context = open();
  const auto outcome = connect(*context, with(device()));
  ASSERT_EQ(outcome.state, Handshake::kDone) << outcome.failure;
  ASSERT_TRUE(outcome.identity);
  EXPECT_EQ(outcome.identity->common_name, "device-1");
  EXPECT_EQ(outcome.identity->organization, "acme");
  EXPECT_EQ(outcome.identity->uri_names, std::vector<std::string>{"urn:device:device-1"});
  EXPECT_EQ(outcome.identity->issuer, "CN=Devices");
  EXPECT_EQ(outcome.identity->serial_hex.size(), 16U);
  EXPECT_NE(outcome.identity->fingerprint, Fingerprint{});
  EXPECT_EQ(revocation_checks_, 1);
}

TEST_P(TlsContextTest, TellsEachRefusedClientWhy) {
  const auto context = open();
  const TestCa foreign("Devices");  // the same name, another key
  const TestCa unknown("Others");
  const auto refused = [&](const ClientSetup& setup, const std::string& why, int alert) {
    const auto outcome = connect(*context, setup);
    EXPECT_EQ(outcome.state, Handshake::kFailed) << why;
    EXPECT_EQ(outcome.failure, why);
    EXPECT_EQ(outcome.alert, alert) << why;
    EXPECT_FALSE(outcome.identity);
    EXPECT_FALSE(outcome.session) << why;
  };
  refused(with(device("late", -60s)), "certificate_expired", SSL_AD_CERTIFICATE_EXPIRED);
  refused(with(unknown.issue(TestCa::Request{.common_name = "x"})), "unknown_ca",
          SSL_AD_UNKNOWN_CA);
  refused(with(foreign.issue(TestCa::Request{.common_name = "x"})), "unknown_ca",
          SSL_AD_UNKNOWN_CA);
  refused(with(device_ca_.issue(TestCa::Request{.common_name = "early", .valid_from = 1h})),
          "certificate_not_yet_valid", SSL_AD_BAD_CERTIFICATE);
  refused(with(device_ca_.issue(TestCa::Request{.common_name = "a\x01z"})), "bad_certificate",
          SSL_AD_BAD_CERTIFICATE);
  refused(with(device_ca_.issue(TestCa::Request{.common_name = "server", .is_client = false})),
          "bad_certificate", SSL_AD_UNSUPPORTED_CERTIFICATE);
  revoked_.insert("stolen");
  refused(with(device("stolen")), "revoked", SSL_AD_CERTIFICATE_REVOKED);
  refused({.version = version()}, "no_certificate",
          version() == TLS1_3_VERSION ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE);
  EXPECT_EQ(metric(R"(sluice_net_handshake_failures_total{listener="test",reason="revoked"})"), 1);
}

TEST_P(TlsContextTest, RefusesAHandshakeThatBecomesTooLong) {
  const auto context = open();
  TestCa::Request request{.common_name = "device-1", .is_server = false};
  for (int i = 0; i < 250; ++i) request.uri_names.push_back("urn:name:" + std::string(30, 'x'));
  const auto outcome = connect(*context, with(device_ca_.issue(request)));
  if (GetParam().library == TlsLibrary::kOpenSsl) {
    EXPECT_EQ(outcome.state, Handshake::kDone) << "it takes more";
    return;
  }
  EXPECT_EQ(outcome.state, Handshake::kFailed);
  EXPECT_EQ(outcome.failure, "too_long");
  EXPECT_EQ(outcome.alert, SSL_AD_DECODE_ERROR);
  EXPECT_EQ(metric(R"(sluice_net_handshake_failures_total{listener="test",reason="too_long"})"), 1);
}

TEST_P(TlsContextTest, RefusesAProofWithAnotherKey) {
  // The chain is known and in the cache: possession of the key is what is left to prove.
  const auto context = open();
  const auto honest = device();
  ASSERT_EQ(connect(*context, with(honest)).state, Handshake::kDone);
  TestClient client({.version = version(), .certificate = honest});
  const KeyPtr forged = public_of_one_private_of_other(honest.key_pem, device("thief").key_pem);
  ASSERT_EQ(SSL_use_PrivateKey(client.ssl(), forged.get()), 1);
  Stream server = *context->accept(client.server_end());
  EXPECT_EQ(shake_hands(client, server), Handshake::kFailed);
  EXPECT_FALSE(server.take_identity());
}

TEST_P(TlsContextTest, VerifiesARepeatedChainOnce) {
  const auto context = open();
  const auto certificate = device();
  const auto first = connect(*context, with(certificate));
  const auto second = connect(*context, with(certificate));
  ASSERT_EQ(second.state, Handshake::kDone);
  EXPECT_FALSE(second.is_resumed);
  EXPECT_EQ(first.identity, second.identity);  // the very same object
  EXPECT_EQ(verified("done"), 1);
  EXPECT_EQ(verified("cached"), 1);
  EXPECT_EQ(revocation_checks_, 2);
  context->forget(first.identity->fingerprint);
  ASSERT_EQ(connect(*context, with(certificate)).state, Handshake::kDone);
  EXPECT_EQ(verified("done"), 2);
}

TEST_P(TlsContextTest, RefusesACachedChainThatIsRevokedOrHasExpired) {
  const auto context = open();
  const auto certificate = device("device-1", 1h);
  ASSERT_EQ(connect(*context, with(certificate)).state, Handshake::kDone);
  revoked_.insert("device-1");
  EXPECT_EQ(connect(*context, with(certificate)).alert, SSL_AD_CERTIFICATE_REVOKED);
  revoked_.clear();
  clock_.advance(2h);
  EXPECT_EQ(connect(*context, with(certificate)).alert, SSL_AD_CERTIFICATE_EXPIRED);
}

TEST_P(TlsContextTest, ForgetsVerifiedChainsWhenTheAuthoritiesChange) {
  const auto context = open();
  const auto certificate = device();
  const auto before = connect(*context, with(certificate));
  ASSERT_EQ(before.state, Handshake::kDone);
  const TestCa other("Others");
  write("devices.pem", other.cert_pem());
  ASSERT_TRUE(context->reload_if_changed().value());
  EXPECT_EQ(connect(*context, with(certificate)).alert, SSL_AD_UNKNOWN_CA);
  // Nor does the ticket of the time before help.
  EXPECT_EQ(connect(*context, with(certificate, before.session.get())).alert, SSL_AD_UNKNOWN_CA);
  write("devices.pem", other.cert_pem() + device_ca_.cert_pem());
  ASSERT_TRUE(context->reload_if_changed().value());
  // Its authority is trusted again, so the ticket is good again.
  EXPECT_TRUE(connect(*context, with(certificate, before.session.get())).is_resumed);
}

TEST_P(TlsContextTest, ResumesOnAnyPodAndKnowsWhoItIs) {
  const auto first_pod = open();
  const auto second_pod = open();
  const auto certificate = device();
  const auto before = connect(*first_pod, with(certificate));
  ASSERT_TRUE(before.session);
  const auto after = connect(*second_pod, with(certificate, before.session.get()));
  ASSERT_EQ(after.state, Handshake::kDone) << after.failure;
  EXPECT_TRUE(after.is_resumed);
  ASSERT_TRUE(after.identity);
  EXPECT_EQ(after.identity->common_name, "device-1");
  EXPECT_EQ(after.identity->fingerprint, before.identity->fingerprint);
  EXPECT_EQ(after.identity->not_before, before.identity->not_before);
  EXPECT_EQ(after.identity->not_after, before.identity->not_after);
  EXPECT_EQ(after.identity->organization, before.identity->organization);
  EXPECT_EQ(after.identity->uri_names, before.identity->uri_names);
  EXPECT_EQ(after.identity->dns_names, before.identity->dns_names);
  EXPECT_EQ(after.identity->serial_hex, before.identity->serial_hex);
  EXPECT_EQ(after.identity->issuer, before.identity->issuer);
  // And once more with the ticket that this one gave, if it gave one.
  SSL_SESSION* const ticket = after.session ? after.session.get() : before.session.get();
  const auto third = connect(*first_pod, with(certificate, ticket));
  EXPECT_TRUE(third.is_resumed) << third.failure;
  EXPECT_EQ(third.identity, before.identity);  // from the cache of the first pod
}

TEST_P(TlsContextTest, GivesACertificateWithEndlessNamesNoTicket) {
  const auto context = open();
  TestCa::Request request{.common_name = "device-1", .is_server = false};
  for (int i = 0; i < 60; ++i) request.uri_names.push_back("urn:name:" + std::string(30, 'x'));
  const auto certificate = device_ca_.issue(request);
  const auto before = connect(*context, with(certificate));
  ASSERT_EQ(before.state, Handshake::kDone) << before.failure;
  EXPECT_EQ(before.identity->uri_names.size(), 60U);
  const auto after = connect(*context, with(certificate, before.session.get()));
  ASSERT_EQ(after.state, Handshake::kDone) << after.failure;
  EXPECT_FALSE(after.is_resumed);
  EXPECT_TRUE(after.identity);
}

TEST_P(TlsContextTest, ResumesNothingOfARevokedCertificate) {
  const auto context = open();
  const auto certificate = device();
  const auto before = connect(*context, with(certificate));
  revoked_.insert("device-1");
  const auto after = connect(*context, with(certificate, before.session.get()));
  EXPECT_EQ(after.state, Handshake::kFailed);
  EXPECT_EQ(after.alert, SSL_AD_CERTIFICATE_REVOKED);
}

TEST_P(TlsContextTest, ResumesNothingAtAPodThatTrustsOtherAuthorities) {
  const auto first_pod = open();
  write("others.pem", TestCa("Others").cert_pem());
  auto setup = options();
  setup.client_ca_file = folder_ + "/others.pem";
  const auto second_pod = open(setup);  // with the same ticket keys
  const auto certificate = device();
  const auto before = connect(*first_pod, with(certificate));
  ASSERT_TRUE(before.session);
  const auto after = connect(*second_pod, with(certificate, before.session.get()));
  EXPECT_EQ(after.state, Handshake::kFailed);
  EXPECT_EQ(after.alert, SSL_AD_UNKNOWN_CA);
}

TEST_P(TlsContextTest, ResumesNothingOfAnExpiredCertificate) {
  const auto context = open();
  const auto certificate = device("device-1", 1h);
  const auto before = connect(*context, with(certificate));
  ASSERT_TRUE(before.session);
  clock_.advance(2h);
  const auto after = connect(*context, with(certificate, before.session.get()));
  EXPECT_EQ(after.alert, SSL_AD_CERTIFICATE_EXPIRED);
}

TEST_P(TlsContextTest, RotatesTicketKeys) {
  const auto context = open();
  const auto certificate = device();
  const auto before = connect(*context, with(certificate));
  write("tickets", ticket_line("a", 'a') + ticket_line("b", 'b'));
  ASSERT_TRUE(context->reload_if_changed().value());
  const auto old_key = connect(*context, with(certificate, before.session.get()));
  EXPECT_TRUE(old_key.is_resumed);
  ASSERT_TRUE(old_key.session);  // a new ticket, under the new key
  write("tickets", ticket_line("b", 'b'));
  ASSERT_TRUE(context->reload_if_changed().value());
  EXPECT_FALSE(connect(*context, with(certificate, before.session.get())).is_resumed);
  // AWS-LC has no way to renew a ticket in TLS 1.2, so the client keeps the one it has.
  EXPECT_EQ(connect(*context, with(certificate, old_key.session.get())).is_resumed,
            !(is_aws_lc() && version() == TLS1_2_VERSION));
}

TEST_P(TlsContextTest, RotatesRandomTicketKeysByItself) {
  auto setup = options();
  setup.ticket_key_file.clear();
  setup.ticket_lifetime = 600s;
  const auto context = open(setup);
  const auto certificate = device();
  const auto before = connect(*context, with(certificate));
  EXPECT_FALSE(context->reload_if_changed().value());
  clock_.advance(600s);
  EXPECT_TRUE(context->reload_if_changed().value());
  EXPECT_TRUE(connect(*context, with(certificate, before.session.get())).is_resumed);
  clock_.advance(600s);
  EXPECT_TRUE(context->reload_if_changed().value());
  EXPECT_FALSE(connect(*context, with(certificate, before.session.get())).is_resumed);
}

TEST_P(TlsContextTest, KeepsTicketsOfOneKindOfListenerAway) {
  const auto lax = open(options(ClientCertificates::kNone));
  const auto strict = open();
  const auto before = connect(*lax, {.version = version()});
  ASSERT_EQ(before.state, Handshake::kDone);
  EXPECT_FALSE(before.identity);
  EXPECT_TRUE(connect(*lax, {.version = version(), .session = before.session.get()}).is_resumed);
  const auto after = connect(*strict, {.version = version(), .session = before.session.get()});
  EXPECT_EQ(after.state, Handshake::kFailed);
  EXPECT_FALSE(after.identity);
}

TEST_P(TlsContextTest, AcceptsClientsWithAndWithoutCertificatesWhereOptional) {
  const auto context = open(options(ClientCertificates::kOptional));
  const auto without = connect(*context, {.version = version()});
  EXPECT_EQ(without.state, Handshake::kDone);
  EXPECT_FALSE(without.identity);
  EXPECT_TRUE(
      connect(*context, {.version = version(), .session = without.session.get()}).is_resumed);
  EXPECT_TRUE(connect(*context, with(device())).identity);
  revoked_.insert("device-1");
  EXPECT_EQ(connect(*context, with(device())).state, Handshake::kFailed);
}

TEST_P(TlsContextTest, ReloadsWithoutDroppingConnections) {
  const auto context = open();
  TestClient early(with(device()));
  Stream early_server = *context->accept(early.server_end());
  TestClient middle(with(device("device-2")));
  Stream middle_server = *context->accept(middle.server_end());
  ASSERT_EQ(shake_hands(early, early_server), Handshake::kDone);
  middle.step();
  ASSERT_EQ(middle_server.handshake(), Handshake::kWaiting);

  const TestCa new_authority("New");
  new_authority.write_identity(folder_, "broker-2");
  ASSERT_TRUE(context->reload_if_changed().value());
  EXPECT_FALSE(context->reload_if_changed().value());

  EXPECT_EQ(shake_hands(middle, middle_server), Handshake::kDone);
  early.send("still here");
  std::array<std::byte, 64> buffer{};
  EXPECT_EQ(early_server.read(buffer).count, 10U);
  TestClient late(with(device()));
  Stream late_server = *context->accept(late.server_end());
  ASSERT_EQ(shake_hands(late, late_server), Handshake::kDone);
  const X509Ptr shown(SSL_get1_peer_certificate(late.ssl()));
  EXPECT_EQ(read_name(shown.get()), "broker-2");
}

TEST_P(TlsContextTest, KeepsWhatItHasWhenNewFilesAreBad) {
  const auto context = open();
  write("tls.key", device().key_pem);
  EXPECT_FALSE(context->reload_if_changed());
  write("devices.pem", "nonsense");
  EXPECT_FALSE(context->reload_if_changed());
  EXPECT_EQ(connect(*context, with(device())).state, Handshake::kDone);
  EXPECT_GT(context->expires(), clock_.wall());
}

/// What only TLS 1.2 has.
class OldTlsContextTest : public TlsContextTest {};
INSTANTIATE_TEST_SUITE_P(Tls, OldTlsContextTest, ::testing::ValuesIn(tls_kinds({TLS1_2_VERSION})),
                         name_of);

TEST_P(OldTlsContextTest, SpeaksNoWeakCiphers) {
  const auto context = open(options(ClientCertificates::kNone));
  for (const char* weak :
       {"ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"}) {
    const auto outcome = connect(*context, {.version = version(), .ciphers12 = weak});
    EXPECT_EQ(outcome.alert, SSL_AD_HANDSHAKE_FAILURE) << weak;
    EXPECT_EQ(outcome.failure, "nothing_in_common");
  }
}

TEST_P(OldTlsContextTest, DoesNotLendTheIdentityOfATicketThatItReadAndDidNotResume) {
  const auto context = open(options(ClientCertificates::kOptional));
  ClientSetup owner = with(device());
  owner.ciphers12 = "ECDHE-ECDSA-AES128-GCM-SHA256";
  const auto first = connect(*context, owner);
  ASSERT_TRUE(first.identity);
  // The ticket is good, but its session has a suite that this client does not offer.
  const auto second = connect(*context, {.version = version(),
                                         .session = first.session.get(),
                                         .ciphers12 = "ECDHE-ECDSA-AES256-GCM-SHA384"});
  EXPECT_FALSE(second.is_resumed);
  EXPECT_FALSE(second.identity);
  if (!is_aws_lc()) {
    EXPECT_EQ(second.state, Handshake::kFailed);  // OpenSSL takes that for an attack
    return;
  }
  ASSERT_EQ(second.state, Handshake::kDone) << second.failure;
  ASSERT_TRUE(second.session);
  const auto third = connect(*context, {.version = version(),
                                        .session = second.session.get(),
                                        .ciphers12 = "ECDHE-ECDSA-AES256-GCM-SHA384"});
  EXPECT_TRUE(third.is_resumed);
  EXPECT_FALSE(third.identity);
}

TEST_P(TlsContextTest, DoesNotStartWithoutAFileThatItNeeds) {
  const auto fails = [&](auto change) {
    auto setup = options();
    change(setup);
    return !TlsContext::open(setup, nullptr, clock_, random_, registry_);
  };
  EXPECT_TRUE(fails([&](TlsOptions& of) { of.cert_file = "/nowhere"; }));
  EXPECT_TRUE(fails([&](TlsOptions& of) { of.client_ca_file.clear(); }));
  EXPECT_TRUE(fails([&](TlsOptions& of) { of.client_ca_file = of.key_file; }));
  EXPECT_TRUE(fails([&](TlsOptions& of) { of.ticket_key_file = of.key_file; }));
  EXPECT_FALSE(fails([](TlsOptions&) {}));
}

}  // namespace
}  // namespace sluice::net
