#include "../error_words.h"
#include "session.h"

#include <algorithm>

#include <openssl/pem.h>

namespace sluice::net {
namespace {

WallTime wall_time_of(const ASN1_TIME* time, WallTime fallback) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return fallback;
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

/// The fingerprint of one certificate; nullopt when OpenSSL fails.
std::optional<Fingerprint> fingerprint_of(const X509* x509) {
  Fingerprint out{};
  unsigned size = 0;
  if (x509 == nullptr ||
      X509_digest(x509, EVP_sha256(), reinterpret_cast<unsigned char*>(&out), &size) != 1) {
    return std::nullopt;
  }
  return out;
}

std::optional<SentChain> sent_chain(X509_STORE_CTX* store) {
  std::vector<Fingerprint> parts;
  const STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    const auto part = fingerprint_of(sk_X509_value(sent, i));
    if (!part) return std::nullopt;
    parts.push_back(*part);
  }
  if (parts.empty()) return std::nullopt;
  return SentChain::of(parts);
}

/// Fills in what the chain that OpenSSL built says about time and trust.
bool read_chain(X509_STORE_CTX* store, VerifiedChain& out) {
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(store);
  const int count = sk_X509_num(chain);
  if (count <= 0) return false;
  out.valid_from = WallTime::min();
  out.valid_until = WallTime::max();
  for (int i = 0; i < count; ++i) {
    const X509* const x509 = sk_X509_value(chain, i);
    out.valid_from =
        std::max(out.valid_from, wall_time_of(X509_get0_notBefore(x509), WallTime::max()));
    out.valid_until =
        std::min(out.valid_until, wall_time_of(X509_get0_notAfter(x509), WallTime::min()));
  }
  const auto anchor = fingerprint_of(sk_X509_value(chain, count - 1));
  if (!anchor) return false;
  out.anchor = *anchor;
  return true;
}

int refuse(X509_STORE_CTX* store, int why) {
  X509_STORE_CTX_set_error(store, why);
  return 0;
}

/// What is kept of the leaf, and the name of its issuer.
Result<> remember(HandshakeData& data, const SentChain& sent, X509* leaf, VerifiedChain& chain) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(leaf, &der);
  if (size <= 0) return fail(openssl_error("certificate"));
  const std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  const BioPtr issuer(BIO_new(BIO_s_mem()));
  if (!issuer ||
      X509_NAME_print_ex(issuer.get(), X509_get_issuer_name(leaf), 0, XN_FLAG_RFC2253) < 0) {
    return fail(openssl_error("certificate"));
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(issuer.get(), &text);
  std::string name(text, static_cast<std::size_t>(std::max(length, 0L)));
  return remember_verified(data, sent, bytes, std::move(name), chain);
}

int verify_anew(X509_STORE_CTX* store, HandshakeData& data, const SentChain& sent,
                VerifiedChain& out) {
  TlsContext::State& state = *data.state;
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(store),
                             std::chrono::system_clock::to_time_t(state.clock.wall()));
  if (X509_verify_cert(store) != 1) {
    state.metrics.verify_refused.add();
    const int why = X509_STORE_CTX_get_error(store);
    data.failure = chain_word(why);
    // OpenSSL would say decrypt_error, which tells a device that its own signature was wrong.
    if (why == X509_V_ERR_CERT_SIGNATURE_FAILURE) return refuse(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  state.metrics.verify_done.add();
  if (!read_chain(store, out) || !remember(data, sent, X509_STORE_CTX_get0_cert(store), out)) {
    data.failure = "bad_certificate";
    return refuse(store, X509_V_ERR_CERT_REJECTED);
  }
  return 1;
}

int verify(X509_STORE_CTX* store, HandshakeData& data) {
  const auto sent = sent_chain(store);
  if (!sent) return refuse(store, X509_V_ERR_UNSPECIFIED);
  auto chain = find_verified(data, *sent);
  if (!chain && verify_anew(store, data, *sent, chain.emplace()) != 1) return 0;
  if (!admit(data, *std::move(chain))) return refuse(store, X509_V_ERR_CERT_REVOKED);
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

/// Instead of OpenSSL's own verification of chains. That the client holds the key is proven
/// elsewhere, in every full handshake.
int verify_client(X509_STORE_CTX* store, void*) noexcept {
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  HandshakeData* const data = ssl == nullptr ? nullptr : handshake_data(ssl);
  if (data == nullptr) return refuse(store, X509_V_ERR_UNSPECIFIED);
  try {
    return verify(store, *data);
  } catch (...) {  // OpenSSL's frames lie between us and whoever could handle it
    return refuse(store, X509_V_ERR_OUT_OF_MEM);
  }
}

}  // namespace

Result<> install_client_verification(SSL_CTX* context, ClientCertificates mode,
                                     std::string_view ca_pem) {
  const BioPtr in = reader_of(ca_pem);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  while (const X509Ptr x509{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store, x509.get()) != 1 ||
        SSL_CTX_add_client_CA(context, x509.get()) != 1) {
      return fail(openssl_error("CA certificate"));
    }
  }
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  // What the file names is trusted, be it a root or not: a fleet's authority is often an
  // intermediate, and its root would let in its other children.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  const int must = mode == ClientCertificates::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | must, nullptr);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(context, kHandshakeBounds.hello);
  SSL_CTX_set_cert_verify_callback(context, verify_client, nullptr);
  return {};
}

}  // namespace sluice::net
