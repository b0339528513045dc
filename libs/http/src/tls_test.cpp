// Client and server against each other over TLS.
#include "canned_server.h"
#include "openssl.h"
#include "test_server.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/http/client.h>

#include <gtest/gtest.h>

namespace sluice::http::testing {
namespace {

using namespace std::chrono_literals;
using crypto::testing::TestCa;

/// A folder of its own, removed at the end. Not that of sluice_testing, which would bring Kafka
/// along.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = ::testing::TempDir() + "sluice-http-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void add_routes(Router& router) {
  router.get("/hello", Access::open(),
             [](const Request& request) -> Result<Response> {
               return Response::text(request.peer.is_tls ? "secure" : "plain");
             },
             {.produces = {"text/plain"}});
  router.get("/stream", Access::open(),
             [](const Request&) -> Result<Response> {
               return Response::streamed("text/plain", [](BodyWriter& writer) -> Result<> {
                 for (int i = 0; i < 100; ++i) SLUICE_TRY(writer.write(std::string(10'000, 'x')));
                 return {};
               });
             },
             {.produces = {"text/plain"}});
  router.post("/size", Access::open(),
              [](const Request& request) -> Result<Response> {
                return Response::text(std::to_string(request.body.size()));
              },
              {.consumes = {"text/plain"}, .produces = {"text/plain"}});
}

/// A server with a certificate for 127.0.0.1 and localhost.
class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    write(ca.issue(
        {.common_name = "localhost", .dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}}));
    write_file("ca.pem", ca.cert_pem());
    add_routes(server.router);
    server.config.tls_cert_file = folder.file("cert.pem");
    server.config.tls_key_file = folder.file("key.pem");
    server.config.max_body = Bytes{4 << 20};
  }

  void write_file(const std::string& name, const std::string& text) {
    std::ofstream(folder.file(name + ".new")) << text;
    std::filesystem::rename(folder.file(name + ".new"), folder.file(name));
  }
  void write(const crypto::testing::TestCertificate& certificate) {
    write_file("cert.pem", certificate.cert_pem);
    write_file("key.pem", certificate.key_pem);
  }
  Client client() const { return Client({.ca_file = folder.file("ca.pem")}); }
  std::string url(const std::string& path) const { return "https://" + server.address + path; }

  /// For a CannedServer that has the same certificate.
  crypto::SslContextPtr server_context() const {
    crypto::SslContextPtr out(SSL_CTX_new(TLS_server_method()));
    EXPECT_TRUE(harden(out.get()));
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(out.get(), folder.file("cert.pem").c_str()), 1);
    EXPECT_EQ(
        SSL_CTX_use_PrivateKey_file(out.get(), folder.file("key.pem").c_str(), SSL_FILETYPE_PEM),
        1);
    return out;
  }

  TestCa ca;
  TempFolder folder;
  TestServer server;
};

TEST_F(TlsTest, CarriesRequestsAndAnswersOfAllShapes) {
  server.start();
  EXPECT_EQ(client().get(url("/hello"))->body, "secure");
  EXPECT_EQ(client().get(url("/stream"))->body.size(), 1'000'000U);
  const auto sized = client().send({.method = "POST",
                                    .url = url("/size"),
                                    .headers = {{"Content-Type", "text/plain"}},
                                    .body = std::string(3 << 20, 'x')});
  ASSERT_TRUE(sized) << sized.error().message();
  EXPECT_EQ(sized->body, std::to_string(3 << 20));
  EXPECT_TRUE(client().get(url("/hello"))->headers.get("Strict-Transport-Security"));
}

TEST_F(TlsTest, BelievesNoOtherAuthorityAndNoOtherName) {
  server.start();
  const TestCa stranger("Stranger");
  write_file("other.pem", stranger.cert_pem());
  const auto unknown = Client({.ca_file = folder.file("other.pem")}).get(url("/hello"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), ErrorCode::kUnauthenticated);

  write(ca.issue(
      {.common_name = "elsewhere", .dns_names = {"elsewhere"}, .ip_addresses = {"127.0.0.2"}}));
  ASSERT_TRUE(server.server().reload_certificates());
  const auto misnamed = client().get(url("/hello"));
  ASSERT_FALSE(misnamed);
  EXPECT_EQ(misnamed.error().code(), ErrorCode::kUnauthenticated);
}

TEST_F(TlsTest, ClientSaysWhichFileOfItsOwnItCannotUse) {
  server.start();
  const auto no_authorities = Client({.ca_file = folder.file("none.pem")}).get(url("/hello"));
  EXPECT_EQ(no_authorities.error().code(), ErrorCode::kFailedPrecondition);
  const auto no_key = Client({.ca_file = folder.file("ca.pem"),
                              .tls_cert_file = folder.file("cert.pem"),
                              .tls_key_file = folder.file("none.pem")})
                          .get(url("/hello"));
  EXPECT_EQ(no_key.error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(TlsTest, TakesRenewedCertificatesAndKeepsTheLastGoodOnes) {
  server.start();
  EXPECT_FALSE(server.server().reload_certificates().value());
  const TestCa renewed("Renewed");
  const auto fresh = renewed.issue({.common_name = "localhost", .ip_addresses = {"127.0.0.1"}});
  write_file("cert.pem", fresh.cert_pem);  // caught half-way: the key is still the old one
  EXPECT_FALSE(server.server().reload_certificates());
  EXPECT_EQ(client().get(url("/hello"))->status, 200);
  write_file("key.pem", fresh.key_pem);
  write_file("ca.pem", renewed.cert_pem());
  EXPECT_TRUE(server.server().reload_certificates().value());
  EXPECT_EQ(client().get(url("/hello"))->status, 200);
}

TEST_F(TlsTest, HalfFinishedHandshakesCostNoWorker) {
  server.config.threads = 1;
  server.start();
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(std::make_unique<RawClient>(server.address));
    if (i % 2 == 0) crowd.back()->send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
  }
  EXPECT_EQ(client().get(url("/hello"))->status, 200);
}

TEST_F(TlsTest, DoesNotTakePlaintextForTls) {
  server.start();
  RawClient plain(server.address);
  EXPECT_EQ(plain.ask(request("GET", "/hello")).status, 0);
}

TEST_F(TlsTest, RefusesToStartWithACertificateThatHasRunOut) {
  write(ca.issue({.common_name = "localhost", .valid_from = -48h, .valid_until = -24h}));
  SystemClock clock;
  SystemRandom random;
  Server made(server.config, Router(), clock, random,
              Logger("t", LogLevel::kError, clock, std::make_shared<NullSink>()), server.registry);
  EXPECT_FALSE(made.start());
}

crypto::SslPtr new_session(SSL_CTX* context, int fd) {
  crypto::SslPtr out(SSL_new(context));
  BIO* const bio = new_socket_bio(fd);
  SSL_set_bio(out.get(), bio, bio);
  return out;
}

/// Shakes hands, says farewell at once, and reads what comes all the same. Tells how much that was.
std::size_t read_after_farewell(SSL_CTX* context, int fd) {
  const crypto::SslPtr tls = new_session(context, fd);
  if (SSL_accept(tls.get()) != 1) return 0;
  SSL_shutdown(tls.get());
  std::array<char, 16 * 1024> bytes{};
  std::size_t size = 0;
  for (int count = 0; (count = SSL_read(tls.get(), bytes.data(), bytes.size())) > 0;) {
    size += static_cast<std::size_t>(count);
  }
  return size;
}

TEST_F(TlsTest, ClientSendsNothingTwice) {
  const auto context = server_context();
  std::size_t received = 0;
  // Large, so that the farewell is there before the request is out.
  const std::string body(4 << 20, 'x');
  {
    const CannedServer early(
        [&](const CannedPeer& peer) { received += read_after_farewell(context.get(), peer.fd()); });
    const auto answer = client().send(
        {.method = "POST", .url = "https://" + early.authority + "/", .headers = {}, .body = body});
    EXPECT_EQ(answer.error().code(), ErrorCode::kUnavailable);
  }
  EXPECT_GE(received, body.size());
  EXPECT_LT(received, 2 * body.size());
}

TEST_F(TlsTest, ClientShowsItsOwnCertificate) {
  const auto own = ca.issue({.common_name = "caller", .dns_names = {"caller"}});
  write_file("own.pem", own.cert_pem);
  write_file("own-key.pem", own.key_pem);
  const auto context = server_context();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ASSERT_EQ(SSL_CTX_load_verify_file(context.get(), folder.file("ca.pem").c_str()), 1);
  const CannedServer demanding([&](const CannedPeer& peer) {
    const crypto::SslPtr tls = new_session(context.get(), peer.fd());
    std::array<char, 4096> bytes{};
    if (SSL_accept(tls.get()) != 1 || SSL_read(tls.get(), bytes.data(), bytes.size()) <= 0) return;
    const std::string answer = "HTTP/1.1 204 No Content\r\n\r\n";
    SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
  });
  const std::string where = "https://" + demanding.authority + "/";
  const auto known = Client({.ca_file = folder.file("ca.pem"),
                             .tls_cert_file = folder.file("own.pem"),
                             .tls_key_file = folder.file("own-key.pem")})
                         .get(where);
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_EQ(known->status, 204);
  EXPECT_EQ(client().get(where).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace sluice::http::testing
