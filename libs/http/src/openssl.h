#pragma once

#include <sluice/base/result.h>
#include <sluice/crypto/openssl.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace sluice::http {

using crypto::take_openssl_error;

/// A BIO over a socket whose writes never raise SIGPIPE, as OpenSSL's own do. Does not own the
/// socket. Null when there is no memory.
BIO* new_socket_bio(int fd);

/// What every TLS context of this library is set to: TLS 1.2 and 1.3 with forward secrecy and
/// authenticated ciphers alone, no renegotiation, compression, session tickets or early data.
Result<> harden(SSL_CTX* context);

}  // namespace sluice::http
