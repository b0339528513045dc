#include "openssl.h"

#include <array>
#include <cerrno>
#include <cstdint>

#include <sys/socket.h>

namespace sluice::http {
namespace {

int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

/// Tells OpenSSL whether the last call would only have had to wait.
int outcome(BIO* bio, ssize_t moved, void (*set_retry)(BIO*)) {
  BIO_clear_retry_flags(bio);
  if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) set_retry(bio);
  return static_cast<int>(moved);
}

int write_bio(BIO* bio, const char* bytes, int size) {
  return outcome(bio, send(fd_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL),
                 [](BIO* b) { BIO_set_retry_write(b); });
}

int read_bio(BIO* bio, char* out, int size) {
  const ssize_t moved = recv(fd_of(bio), out, static_cast<std::size_t>(size), 0);
  if (moved == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return outcome(bio, moved, [](BIO* b) { BIO_set_retry_read(b); });
}

long control_bio(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// Made once and kept: BIOs refer to it until the process ends.
const BIO_METHOD* method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
    if (fresh != nullptr) {
      BIO_meth_set_write(fresh, write_bio);
      BIO_meth_set_read(fresh, read_bio);
      BIO_meth_set_ctrl(fresh, control_bio);
    }
    return fresh;
  }();
  return made;
}

// Mozilla's "intermediate" list without its DHE entries, which cost most and nobody needs.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

}  // namespace

BIO* new_socket_bio(int fd) {
  const BIO_METHOD* const how = method();
  BIO* const bio = how == nullptr ? nullptr : BIO_new(how);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

Result<> harden(SSL_CTX* context) {
  const bool is_set = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
                      SSL_CTX_set_ciphersuites(context, kCiphers13) == 1 &&
                      SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1 &&
                      SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!is_set) return fail(ErrorCode::kInternal, "TLS settings: " + take_openssl_error());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  return {};
}

}  // namespace sluice::http
