#pragma once

#include <memory>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/crypto/openssl.h>

namespace sluice::net {

using crypto::BioPtr;
using crypto::Free;
using crypto::KeyPtr;
using crypto::reader_of;
using crypto::SslContextPtr;
using crypto::SslPtr;
using crypto::X509Ptr;
using CipherPtr = std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;

/// The first error of this thread's queue as an Error; empties the queue.
Error openssl_error(std::string_view what);

}  // namespace sluice::net
