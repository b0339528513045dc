#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/// What every library needs that calls OpenSSL itself: crypto, and those that run TLS on sockets of
/// their own. No part of crypto's public face.
namespace sluice::crypto {

/// Frees an OpenSSL object with its own function.
template <auto Function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    Function(object);
  }
};

using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;

/// A BIO that reads `text`, which must outlive it and be shorter than 2 GiB.
BioPtr reader_of(std::string_view text);

/// What OpenSSL's queue of this thread says went wrong first; empties the queue.
std::string take_openssl_error();

}  // namespace sluice::crypto
