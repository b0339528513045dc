// Figures of this library on this machine: CPU of the server's side of a handshake, and heap per
// idle connection. One thread, socket pairs, only the server's calls timed.
#include "../src/with_openssl/openssl.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/net/tls_context.h>

#include <malloc.h>
#include <openssl/pem.h>
#include <sys/socket.h>

namespace sluice::net {
namespace {

using crypto::testing::TestCa;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Client {
  Client(SSL_CTX* context, int fd, SSL_SESSION* session) : socket(fd), ssl(SSL_new(context)) {
    SSL_set_fd(ssl.get(), fd);
    SSL_set_connect_state(ssl.get());
    // A copy: OpenSSL spoils a ticket once it got a newer one.
    const SslSessionPtr copy(session == nullptr ? nullptr : SSL_SESSION_dup(session));
    if (copy) SSL_set_session(ssl.get(), copy.get());
  }
  /// As after a farewell: OpenSSL spoils the tickets of connections that end without one.
  ~Client() { SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN); }
  void step() {
    std::array<char, 4096> rest{};
    if (SSL_do_handshake(ssl.get()) == 1) SSL_read(ssl.get(), rest.data(), 4096);
  }
  Socket socket;
  SslPtr ssl;
};

SslSessionPtr last_ticket;

SslContextPtr client_context(int version, const crypto::testing::TestCertificate& certificate) {
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), [](SSL*, SSL_SESSION* session) {
    last_ticket.reset(session);
    return 1;
  });
  const BioPtr chain = reader_of(certificate.cert_pem);
  const BioPtr key_text = reader_of(certificate.key_pem);
  const X509Ptr x509(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  SSL_CTX_use_certificate(context.get(), x509.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

/// One handshake; returns the server's CPU seconds. Both ends are handed out where asked for.
double shake(TlsContext& context, SSL_CTX* client_side, SSL_SESSION* session,
             std::vector<Stream>* keep_servers = nullptr,
             std::vector<Socket>* keep_sockets = nullptr) {
  int fds[2] = {};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
  Client client(client_side, fds[0], session);
  double spent = 0;
  double from = cpu_seconds();
  Stream server = *context.accept(Socket(fds[1]));
  spent += cpu_seconds() - from;
  Handshake state = Handshake::kWaiting;
  while (state == Handshake::kWaiting) {
    client.step();
    from = cpu_seconds();
    state = server.handshake();
    if (state == Handshake::kDone) {
      server.take_identity();
      server.write(std::as_bytes(std::span("CONNACK")));  // which a ticket may go out with
    }
    spent += cpu_seconds() - from;
  }
  if (state != Handshake::kDone) {
    std::printf("failed: %s\n", std::string(server.failure()).c_str());
    std::abort();
  }
  client.step();
  if (session != nullptr && !server.is_resumed()) std::abort();
  if (keep_servers != nullptr) keep_servers->push_back(std::move(server));
  if (keep_sockets != nullptr) keep_sockets->push_back(std::move(client.socket));
  return spent;
}

double microseconds(int rounds, const std::function<double()>& round) {
  double best = 1e9;
  for (int group = 0; group < 5; ++group) {  // the quietest of five
    double sum = 0;
    for (int i = 0; i < rounds / 5; ++i) sum += round();
    best = std::min(best, sum / (rounds / 5) * 1e6);
  }
  return best;
}

void run(TlsLibrary library, const char* library_name) {
  const std::string folder = std::filesystem::temp_directory_path() / "sluice_net_bench";
  const TestCa own;
  const TestCa devices("Devices");
  own.write_identity(folder, "broker");
  const auto device_files = devices.write_identity(folder + "/devices", "device");
  SystemClock clock;
  SystemRandom random;
  Registry registry;
  const auto open = [&](ClientCertificates mode, std::size_t chains) {
    return *TlsContext::open({.cert_file = folder + "/tls.crt",
                              .key_file = folder + "/tls.key",
                              .client_certificates = mode,
                              .client_ca_file = device_files.ca_file,
                              .verified_chains = chains,
                              .name = "bench",
                              .library = library},
                             nullptr, clock, random, registry);
  };
  const auto cached = open(ClientCertificates::kRequired, 65'536);
  const auto uncached = open(ClientCertificates::kRequired, 0);
  const auto anonymous = open(ClientCertificates::kNone, 0);
  const auto certificate = devices.issue("device-1");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto client = client_context(version, certificate);
    const char* const name = version == TLS1_2_VERSION ? "1.2" : "1.3";
    const auto print = [&](const char* what, TlsContext& context, SSL_SESSION* session) {
      std::printf("%s, TLS %s %-28s %7.1f us\n", library_name, name, what,
                  microseconds(500, [&] { return shake(context, client.get(), session); }));
    };
    print("server certificate only", *anonymous, nullptr);
    print("mutual, chain verified", *uncached, nullptr);
    print("mutual, chain in the cache", *cached, nullptr);
    shake(*cached, client.get(), nullptr);
    const SslSessionPtr ticket = std::move(last_ticket);
    print("mutual, resumed", *cached, ticket.get());
    for (TlsContext* context : {anonymous.get(), cached.get()}) {
      constexpr std::size_t kConnections = 1000;
      std::vector<Stream> servers;
      std::vector<Socket> sockets;
      servers.reserve(kConnections);
      sockets.reserve(kConnections);
      shake(*context, client.get(), nullptr);
      const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
      for (std::size_t i = 0; i < kConnections; ++i) {
        shake(*context, client.get(), nullptr, &servers, &sockets);
      }
      const std::size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
      std::printf("%s, TLS %s heap per idle connection, %s: %zu bytes\n", library_name, name,
                  context == cached.get() ? "mutual" : "server certificate only",
                  (after - before) / kConnections);
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::net

int main() {
  sluice::net::run(sluice::net::TlsLibrary::kOpenSsl, "OpenSSL");
  sluice::net::run(sluice::net::TlsLibrary::kBest, "AWS-LC (if built with it)");
}
