#include "../error_words.h"
#include "session.h"

#include <algorithm>
#include <ctime>

#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>

namespace sluice::net::aws_lc {
namespace {

using StorePtr = bssl::UniquePtr<X509_STORE>;
using X509Ptr = bssl::UniquePtr<X509>;

struct Refusal {
  std::string_view word;
  std::uint8_t alert;  // zero: none
};

std::uint8_t alert_for(int why) {
  switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return SSL_AD_CERTIFICATE_EXPIRED;
    case X509_V_ERR_INVALID_PURPOSE:
      return SSL_AD_UNSUPPORTED_CERTIFICATE;
    default:
      return chain_word(why) == "unknown_ca" ? SSL_AD_UNKNOWN_CA : SSL_AD_BAD_CERTIFICATE;
  }
}

Refusal refusal_of(int why) { return {.word = chain_word(why), .alert = alert_for(why)}; }

Fingerprint fingerprint_of(const CRYPTO_BUFFER* der) {
  Fingerprint out{};
  SHA256(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

WallTime wall_time_of(const ASN1_TIME* time, WallTime fallback) {
  std::int64_t seconds = 0;
  if (ASN1_TIME_to_posix(time, &seconds) != 1) return fallback;
  return WallTime(std::chrono::seconds(seconds));
}

/// Fills in what the chain that was built says about time and trust.
bool read_chain(X509_STORE_CTX* verifier, VerifiedChain& out) {
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(verifier);
  const std::size_t count = sk_X509_num(chain);
  if (count == 0) return false;
  out.valid_from = WallTime::min();
  out.valid_until = WallTime::max();
  for (std::size_t i = 0; i < count; ++i) {
    const X509* const x509 = sk_X509_value(chain, i);
    out.valid_from =
        std::max(out.valid_from, wall_time_of(X509_get0_notBefore(x509), WallTime::max()));
    out.valid_until =
        std::min(out.valid_until, wall_time_of(X509_get0_notAfter(x509), WallTime::min()));
  }
  unsigned size = 0;
  return X509_digest(sk_X509_value(chain, count - 1), EVP_sha256(),
                     reinterpret_cast<unsigned char*>(out.anchor.data()), &size) == 1;
}

std::string issuer_of(const X509* x509) {
  const bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  const unsigned char* text = nullptr;
  std::size_t size = 0;
  if (!out || X509_NAME_print_ex(out.get(), X509_get_issuer_name(x509), 0, XN_FLAG_RFC2253) < 0 ||
      BIO_mem_contents(out.get(), &text, &size) != 1) {
    return {};
  }
  return {reinterpret_cast<const char*>(text), size};
}

class Verification {
 public:
  Verification(HandshakeData& data, const STACK_OF(CRYPTO_BUFFER) * sent, X509_STORE* authorities)
      : data_(data), sent_(sent), authorities_(authorities) {}

  /// Zero or the alert to send.
  std::uint8_t run() {
    std::vector<Fingerprint> parts;
    for (std::size_t i = 0; i < sk_CRYPTO_BUFFER_num(sent_); ++i) {
      parts.push_back(fingerprint_of(sk_CRYPTO_BUFFER_value(sent_, i)));
    }
    if (parts.empty()) return SSL_AD_INTERNAL_ERROR;
    const SentChain sent = SentChain::of(parts);
    auto chain = find_verified(data_, sent);
    if (!chain) {
      const Refusal refusal = verify_anew(sent, chain.emplace());
      if (refusal.alert != 0) {
        data_.failure = refusal.word;
        return refusal.alert;
      }
    }
    return admit(data_, *std::move(chain)) ? 0 : SSL_AD_CERTIFICATE_REVOKED;
  }

 private:
  Refusal verify_anew(const SentChain& sent, VerifiedChain& out) {
    TlsMetrics& metrics = data_.state->metrics;
    X509Ptr leaf(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(sent_, 0)));
    const bssl::UniquePtr<X509_STORE_CTX> verifier(X509_STORE_CTX_new());
    const bssl::UniquePtr<STACK_OF(X509)> others = parse_others();
    const int outcome = leaf && others && verifier ? verify(verifier.get(), *leaf, others.get())
                                                   : X509_V_ERR_CERT_REJECTED;
    ERR_clear_error();
    if (outcome != X509_V_OK) {
      metrics.verify_refused.add();
      return refusal_of(outcome);
    }
    metrics.verify_done.add();
    const CRYPTO_BUFFER* const der = sk_CRYPTO_BUFFER_value(sent_, 0);
    const std::string_view bytes(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(der)),
                                 CRYPTO_BUFFER_len(der));
    const bool is_kept = read_chain(verifier.get(), out) &&
                         remember_verified(data_, sent, bytes, issuer_of(leaf.get()), out);
    return is_kept ? Refusal{} : refusal_of(X509_V_ERR_CERT_REJECTED);
  }

  /// Null when one of them is no certificate.
  bssl::UniquePtr<STACK_OF(X509)> parse_others() const {
    bssl::UniquePtr<STACK_OF(X509)> out(sk_X509_new_null());
    for (std::size_t i = 1; out && i < sk_CRYPTO_BUFFER_num(sent_); ++i) {
      X509Ptr x509(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(sent_, i)));
      if (!x509 || !bssl::PushToStack(out.get(), std::move(x509))) out = nullptr;
    }
    return out;
  }

  int verify(X509_STORE_CTX* verifier, X509& leaf, STACK_OF(X509) * others) const {
    if (X509_STORE_CTX_init(verifier, authorities_, &leaf, others) != 1 ||
        X509_STORE_CTX_set_default(verifier, "ssl_client") != 1) {
      return X509_V_ERR_OUT_OF_MEM;
    }
    X509_VERIFY_PARAM* const how = X509_STORE_CTX_get0_param(verifier);
    X509_VERIFY_PARAM_set_depth(how, kMaxChainDepth);
    X509_VERIFY_PARAM_set_time_posix(
        how, std::chrono::system_clock::to_time_t(data_.state->clock.wall()));
    // What the file names is trusted, be it a root or not: a fleet's authority is often an
    // intermediate, and its root would let in its other children.
    X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(verifier) == 1) return X509_V_OK;
    const int why = X509_STORE_CTX_get_error(verifier);
    return why == X509_V_OK ? X509_V_ERR_UNSPECIFIED : why;
  }

  HandshakeData& data_;
  const STACK_OF(CRYPTO_BUFFER) * const sent_;
  X509_STORE* const authorities_;
};

/// That the client holds the key is proven elsewhere, in every full handshake.
ssl_verify_result_t verify_client(SSL* ssl, std::uint8_t* alert) noexcept {
  HandshakeData* const data = handshake_data(ssl);
  auto* const authorities = static_cast<X509_STORE*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (data == nullptr || authorities == nullptr) return ssl_verify_invalid;
  try {
    const std::uint8_t refusal =
        Verification(*data, SSL_get0_peer_certificates(ssl), authorities).run();
    if (refusal == 0) return ssl_verify_ok;
    *alert = refusal;
  } catch (...) {  // the library's frames lie between us and whoever could handle it
    *alert = SSL_AD_INTERNAL_ERROR;
  }
  return ssl_verify_invalid;
}

/// The authorities' names, which the request for a certificate tells the client.
bool add_name(STACK_OF(CRYPTO_BUFFER) * names, X509* authority) {
  std::uint8_t* der = nullptr;
  const int size = i2d_X509_NAME(X509_get_subject_name(authority), &der);
  const bssl::UniquePtr<std::uint8_t> owner(der);
  if (size <= 0) return false;
  bssl::UniquePtr<CRYPTO_BUFFER> name(
      CRYPTO_BUFFER_new(der, static_cast<std::size_t>(size), nullptr));
  return name && bssl::PushToStack(names, std::move(name));
}

}  // namespace

Result<StorePtr> install_client_verification(SSL_CTX* context, ClientCertificates mode,
                                             std::string_view ca_pem) {
  const bssl::UniquePtr<BIO> in(
      BIO_new_mem_buf(ca_pem.data(), static_cast<ossl_ssize_t>(ca_pem.size())));
  StorePtr store(X509_STORE_new());
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names(sk_CRYPTO_BUFFER_new_null());
  if (!in || !store || !names) return fail(error_of("CA certificate"));
  while (const X509Ptr x509{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store.get(), x509.get()) != 1 || !add_name(names.get(), x509.get())) {
      return fail(error_of("CA certificate"));
    }
  }
  ERR_clear_error();  // the end of the text is an error to the library
  const int must = mode == ClientCertificates::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set0_client_CAs(context, names.release());
  SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER | must, verify_client);
  SSL_CTX_set_max_cert_list(context, kHandshakeBounds.all);
  // All that we ever need of a certificate is in its PeerIdentity.
  SSL_CTX_set_retain_only_sha256_of_client_certs(context, 1);
  SSL_CTX_set_app_data(context, store.get());
  return store;
}

}  // namespace sluice::net::aws_lc
