#pragma once

#include "tls_state.h"
#include "with_openssl/openssl.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/net/stream.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/socket.h>

namespace sluice::net {

/// Which TLS the server side speaks, and with what.
struct TlsKind {
  int version;
  TlsLibrary library;
};

/// Everything there is in this build; the client is OpenSSL's always.
inline std::vector<TlsKind> tls_kinds(const std::vector<int>& versions) {
  std::vector<TlsKind> out;
  for (const int version : versions) {
    out.push_back({version, TlsLibrary::kOpenSsl});
    if (kNewAwsLcEngine != nullptr) out.push_back({version, TlsLibrary::kBest});
  }
  return out;
}

inline std::string name_of(const ::testing::TestParamInfo<TlsKind>& of) {
  return std::string(of.param.version == TLS1_2_VERSION ? "V12" : "V13") +
         (of.param.library == TlsLibrary::kOpenSsl ? "OpenSsl" : "AwsLc");
}

/// What a device brings.
struct ClientSetup {
  int version = TLS1_3_VERSION;
  std::optional<crypto::testing::TestCertificate> certificate{};
  std::vector<std::string> intermediates{};  // PEM, sent along
  SSL_SESSION* session = nullptr;            // to resume
  std::string psk_identity{};
  std::string psk{};
  std::string ciphers12{};
  std::string ciphers13{};
};

/// A device made of plain OpenSSL on one end of a socket pair.
class TestClient {
 public:
  explicit TestClient(const ClientSetup& setup) : setup_(setup) {
    int fds[2] = {};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    socket_ = Socket(fds[0]);
    server_end_ = Socket(fds[1]);
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* const context = context_.get();
    SSL_CTX_set_app_data(context, this);
    SSL_CTX_set_min_proto_version(context, setup.version);
    SSL_CTX_set_max_proto_version(context, setup.version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION* session) {
      of(ssl).session_.reset(session);
      return 1;
    });
    SSL_CTX_set_info_callback(context, [](const SSL* ssl, int where, int value) {
      if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) of(ssl).alert_ = value & 0xFF;
    });
    if (!setup.ciphers12.empty()) {
      EXPECT_EQ(SSL_CTX_set_cipher_list(context, setup.ciphers12.c_str()), 1);
    }
    if (!setup.ciphers13.empty()) {
      EXPECT_EQ(SSL_CTX_set_ciphersuites(context, setup.ciphers13.c_str()), 1);
    }
    if (!setup.psk_identity.empty()) {
      SSL_CTX_set_psk_client_callback(context, give_psk);
      if (setup.ciphers12.empty()) SSL_CTX_set_cipher_list(context, "ECDHE-PSK-CHACHA20-POLY1305");
    }
    if (setup.certificate) use_certificate();
    ssl_.reset(SSL_new(context));
    SSL_set_fd(ssl_.get(), socket_.fd());
    SSL_set_connect_state(ssl_.get());
    if (setup.session != nullptr) {
      // A copy: OpenSSL spoils a ticket once it got a newer one.
      const SslSessionPtr copy(SSL_SESSION_dup(setup.session));
      SSL_set_session(ssl_.get(), copy.get());
    }
  }

  /// As after a farewell: OpenSSL spoils the tickets of connections that end without one.
  ~TestClient() { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN); }

  /// The other end, once.
  Socket server_end() { return std::move(server_end_); }
  SSL* ssl() { return ssl_.get(); }
  Socket& socket() { return socket_; }

  /// As far as it goes; reads alerts and tickets, too.
  void step() {
    ERR_clear_error();
    if (!is_done_) is_done_ = SSL_do_handshake(ssl_.get()) == 1;
    if (is_done_) receive();
  }
  void receive() {
    std::string part(4096, '\0');
    for (int count = 0; (count = SSL_read(ssl_.get(), part.data(), 4096)) > 0;) {
      received_.append(part, 0, static_cast<std::size_t>(count));
    }
  }
  void send(std::string_view text) {
    EXPECT_EQ(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }

  bool is_done() const { return is_done_; }
  bool is_resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  int alert() const { return alert_; }  // -1: none
  const std::string& received() const { return received_; }
  SslSessionPtr take_session() {
    // With TLS 1.2 the callback does not tell of tickets that a resumed handshake renewed.
    if (is_done_ && SSL_version(ssl_.get()) == TLS1_2_VERSION) {
      SslSessionPtr session(SSL_get1_session(ssl_.get()));
      if (SSL_SESSION_has_ticket(session.get()) == 1) return session;
    }
    return std::move(session_);
  }

 private:
  static TestClient& of(const SSL* ssl) {
    return *static_cast<TestClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }
  static unsigned give_psk(SSL* ssl, const char*, char* identity, unsigned identity_size,
                           unsigned char* key, unsigned key_size) {
    const ClientSetup& setup = of(ssl).setup_;
    EXPECT_LT(setup.psk_identity.size(), identity_size);
    EXPECT_LE(setup.psk.size(), key_size);
    std::strcpy(identity, setup.psk_identity.c_str());
    std::memcpy(key, setup.psk.data(), setup.psk.size());
    return static_cast<unsigned>(setup.psk.size());
  }
  void use_certificate() {
    const BioPtr chain = reader_of(setup_.certificate->cert_pem);
    const BioPtr key_text = reader_of(setup_.certificate->key_pem);
    const X509Ptr x509(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
    EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), x509.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), key.get()), 1);
    for (const std::string& pem : setup_.intermediates) {
      const BioPtr text = reader_of(pem);
      const X509Ptr extra(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
      EXPECT_EQ(SSL_CTX_add1_chain_cert(context_.get(), extra.get()), 1);
    }
  }

  const ClientSetup setup_;
  Socket socket_;
  Socket server_end_;
  SslContextPtr context_;
  SslPtr ssl_;
  SslSessionPtr session_;
  bool is_done_ = false;
  int alert_ = -1;
  std::string received_;
};

/// Takes turns until both are through, one has failed, or the server waits for a key.
inline Handshake shake_hands(TestClient& client, Stream& server) {
  Handshake state = Handshake::kWaiting;
  for (int turn = 0; turn < 20 && state == Handshake::kWaiting; ++turn) {
    client.step();
    state = server.handshake();
  }
  client.step();
  return state;
}

}  // namespace sluice::net
