// What the bounds of a handshake leave room for: a client with as much as honest ones have.
#include "test_tls_client.h"
#include "tls_session.h"

#include <filesystem>
#include <fstream>

#include <sluice/net/tls_context.h>

#include <openssl/rsa.h>
#include <openssl/x509v3.h>

namespace sluice::net {
namespace {

using crypto::testing::TestCa;
using crypto::testing::TestCertificate;

constexpr int kBits = 4096;
constexpr std::size_t kCertificateBytes = 2000;
constexpr std::size_t kHelloBytes = 2000;

std::string pem_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* x509) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  EXPECT_EQ(PEM_write_bio_X509(bio.get(), x509), 1);
  return pem_of(bio);
}

void add_extension(X509* x509, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  ASSERT_NE(extension, nullptr);
  EXPECT_EQ(X509_add_ext(x509, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

/// Three certificates and the root of them, with one RSA key for all, since it takes a second to
/// make one.
class LongChain {
 public:
  LongChain() : key_(EVP_RSA_gen(kBits)) {
    const auto root = issue("Root", "Root");
    const auto plant = issue("Plant", "Root");
    const auto line = issue("Line", "Plant");
    const auto device = issue("device-1", "Line");
    root_ = pem_of(root.get());
    intermediates_ = {pem_of(line.get()), pem_of(plant.get())};
    const BioPtr key_text(BIO_new(BIO_s_mem()));
    EXPECT_EQ(
        PEM_write_bio_PrivateKey(key_text.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr),
        1);
    device_ = {.cert_pem = pem_of(device.get()), .key_pem = pem_of(key_text)};
  }

  const std::string& root() const { return root_; }
  ClientSetup setup(int version) const {
    return {.version = version, .certificate = device_, .intermediates = intermediates_};
  }

 private:
  X509Ptr issue(const char* name, const char* issuer) const {
    X509Ptr x509(X509_new());
    X509_set_version(x509.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
    X509_set_pubkey(x509.get(), key_.get());
    const auto put = [](X509_NAME* into, const char* text) {
      const auto* const bytes = reinterpret_cast<const unsigned char*>(text);
      EXPECT_EQ(X509_NAME_add_entry_by_txt(into, "CN", MBSTRING_ASC, bytes, -1, -1, 0), 1);
    };
    put(X509_get_subject_name(x509.get()), name);
    put(X509_get_issuer_name(x509.get()), issuer);
    const bool is_device = std::string_view(name) == "device-1";
    add_extension(x509.get(), NID_basic_constraints, is_device ? "CA:FALSE" : "critical,CA:TRUE");
    const auto sign = [&] { return X509_sign(x509.get(), key_.get(), EVP_sha256()) > 0; };
    const auto size = [&] { return static_cast<std::size_t>(i2d_X509(x509.get(), nullptr)); };
    EXPECT_TRUE(sign());
    // As addresses of revocation lists and other things that nobody reads.
    add_extension(x509.get(), NID_netscape_comment,
                  std::string(kCertificateBytes - size() - 24, 'x'));
    EXPECT_TRUE(sign());
    EXPECT_NEAR(static_cast<double>(size()), kCertificateBytes, 8);
    return x509;
  }

  const KeyPtr key_;
  std::string root_;
  std::vector<std::string> intermediates_;
  TestCertificate device_;
};

const LongChain& long_chain() {
  static const LongChain chain;
  return chain;
}

class LongHandshakeTest : public ::testing::TestWithParam<TlsKind> {
 protected:
  LongHandshakeTest() {
    folder_ = ::testing::TempDir() + "sluice_long_handshake_" + std::to_string(getpid());
    const auto identity = TestCa().write_identity(folder_, "broker");
    std::ofstream(folder_ + "/devices.pem") << long_chain().root();
    context_ = *TlsContext::open({.cert_file = identity.cert_file,
                                  .key_file = identity.key_file,
                                  .client_certificates = ClientCertificates::kRequired,
                                  .client_ca_file = folder_ + "/devices.pem",
                                  .name = "test",
                                  .library = GetParam().library},
                                 nullptr, clock_, random_, registry_);
  }
  ~LongHandshakeTest() override { std::filesystem::remove_all(folder_); }

  static int version() { return GetParam().version; }
  /// Of a hello of 2 KiB, what the key exchange leaves to a ticket and others.
  static void make_hello_long(TestClient& client) {
    std::size_t rest = kHelloBytes - (version() == TLS1_3_VERSION ? 1450 : 250);
    std::string protocols;
    for (std::size_t part = 0; rest > 1; rest -= part + 1) {
      part = std::min<std::size_t>(rest - 1, 200);
      protocols += static_cast<char>(part);
      protocols += std::string(part, 'p');
    }
    SSL_set_alpn_protos(client.ssl(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  /// Of messages, without what records add; zero if it was not let in.
  std::size_t sent_when_let_in(TestClient& client) {
    std::size_t sent = 0;
    SSL_set_options(client.ssl(), SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
    SSL_set_msg_callback(client.ssl(), [](int is_sent, int, int type, const void*, std::size_t size,
                                          SSL*, void* total) {
      if (is_sent == 1 && type == SSL3_RT_HANDSHAKE) *static_cast<std::size_t*>(total) += size;
    });
    SSL_set_msg_callback_arg(client.ssl(), &sent);
    Stream server = *context_->accept(client.server_end());
    EXPECT_EQ(shake_hands(client, server), Handshake::kDone) << server.failure();
    const auto identity = server.take_identity();
    if (!identity || identity->common_name != "device-1") return 0;
    return sent;
  }

  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  std::string folder_;
  std::unique_ptr<TlsContext> context_;
};

INSTANTIATE_TEST_SUITE_P(Tls, LongHandshakeTest,
                         ::testing::ValuesIn(tls_kinds({TLS1_2_VERSION, TLS1_3_VERSION})), name_of);

TEST_P(LongHandshakeTest, LetsInAChainOfThreeLongCertificatesBehindALongHello) {
  TestClient client(long_chain().setup(version()));
  make_hello_long(client);
  EXPECT_GT(sent_when_let_in(client), kHelloBytes + 3 * kCertificateBytes + kBits / 8);
}

/// What only TLS 1.3 has.
class NewLongHandshakeTest : public LongHandshakeTest {};
INSTANTIATE_TEST_SUITE_P(Tls, NewLongHandshakeTest,
                         ::testing::ValuesIn(tls_kinds({TLS1_3_VERSION})), name_of);

// Of a client whose first guess is a key of a kind that we do not have, as long as those are.
TEST_P(NewLongHandshakeTest, LetsItInWithASecondHello) {
  TestClient client(long_chain().setup(version()));
  make_hello_long(client);
  ASSERT_EQ(SSL_set1_groups_list(client.ssl(), "*X25519MLKEM768:X25519"), 1);
  EXPECT_GT(sent_when_let_in(client), kHelloBytes + 3 * kCertificateBytes + kBits / 8 + 700);
}

}  // namespace
}  // namespace sluice::net
