#include "tls_state.h"

#include <algorithm>
#include <new>

#include <sluice/base/encoding.h>
#include <sluice/crypto/certificate.h>

#include <openssl/err.h>
#include <openssl/pem.h>

namespace sluice::net {
namespace {

// A device's chain is two or three certificates; these are the bounds of what somebody unknown can
// make us hold and verify.
constexpr int kMaxChainDepth = 4;
constexpr long kMaxSentBytes = 16 * 1024;

Fingerprint digest_of(std::span<const Fingerprint> parts) {
  Fingerprint out{};
  EVP_Digest(parts.data(), parts.size_bytes(), reinterpret_cast<unsigned char*>(out.data()),
             nullptr, EVP_sha256(), nullptr);
  return out;
}

WallTime wall_time_of(const ASN1_TIME* time, WallTime fallback) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return fallback;
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

/// The leaf and everything that was sent along, in its order.
std::optional<Fingerprint> fingerprint_of_sent(X509_STORE_CTX* store, const Fingerprint& leaf) {
  const STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(store);
  if (sk_X509_num(sent) <= 1) return leaf;
  std::vector<Fingerprint> parts;
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    const auto part = fingerprint_of(sk_X509_value(sent, i));
    if (!part) return std::nullopt;
    parts.push_back(*part);
  }
  return digest_of(parts);
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

int verify_anew(X509_STORE_CTX* store, TlsContext::State& state, HandshakeData& data, WallTime now,
                VerifiedChain& out) {
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(store),
                             std::chrono::system_clock::to_time_t(now));
  if (X509_verify_cert(store) != 1) {
    state.metrics.verify_refused.add();
    const int why = X509_STORE_CTX_get_error(store);
    switch (why) {
      case X509_V_ERR_CERT_HAS_EXPIRED:
        data.failure = "certificate_expired";
        break;
      case X509_V_ERR_CERT_NOT_YET_VALID:
        data.failure = "certificate_not_yet_valid";
        break;
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
      case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        data.failure = "unknown_ca";
        break;
      default:
        data.failure = "bad_certificate";
    }
    // OpenSSL would say decrypt_error, which tells a device that its own signature was wrong.
    if (why == X509_V_ERR_CERT_SIGNATURE_FAILURE) return refuse(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  state.metrics.verify_done.add();
  auto identity = read_identity(X509_STORE_CTX_get0_cert(store));
  if (!identity || !read_chain(store, out)) {
    data.failure = "bad_certificate";
    return refuse(store, X509_V_ERR_CERT_REJECTED);
  }
  out.identity = std::move(*identity);
  out.bundle = data.generation->bundle;
  return 1;
}

int verify(X509_STORE_CTX* store, TlsContext::State& state, HandshakeData& data) {
  const WallTime now = state.clock.wall();
  const auto leaf = fingerprint_of(X509_STORE_CTX_get0_cert(store));
  const auto sent = leaf ? fingerprint_of_sent(store, *leaf) : std::nullopt;
  if (!sent) return refuse(store, X509_V_ERR_UNSPECIFIED);
  auto chain = state.chains.find(*leaf, data.generation->bundle, now);
  if (chain && chain->sent == *sent) {
    state.metrics.verify_cached.add();
  } else {
    chain.emplace();
    chain->sent = *sent;
    if (verify_anew(store, state, data, now, *chain) != 1) return 0;
    state.chains.insert(*leaf, *chain);
    state.metrics.chains.set(static_cast<double>(state.chains.size()));
  }
  if (state.is_revoked && state.is_revoked(*chain->identity)) {
    data.failure = "revoked";
    return refuse(store, X509_V_ERR_CERT_REVOKED);
  }
  data.identity = chain->identity;
  data.chain = std::move(chain);
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

/// Instead of OpenSSL's own verification of chains. That the client holds the key is proven
/// elsewhere, in every full handshake.
int verify_client(X509_STORE_CTX* store, void* state) noexcept {
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  HandshakeData* const data = ssl == nullptr ? nullptr : handshake_data(ssl);
  if (data == nullptr) return refuse(store, X509_V_ERR_UNSPECIFIED);
  try {
    return verify(store, *static_cast<TlsContext::State*>(state), *data);
  } catch (...) {  // OpenSSL's frames lie between us and whoever could handle it
    return refuse(store, X509_V_ERR_OUT_OF_MEM);
  }
}

}  // namespace

std::optional<Fingerprint> fingerprint_of(const X509* x509) {
  Fingerprint out{};
  unsigned size = 0;
  if (x509 == nullptr ||
      X509_digest(x509, EVP_sha256(), reinterpret_cast<unsigned char*>(&out), &size) != 1) {
    return std::nullopt;
  }
  return out;
}

Result<PeerIdentityPtr> read_identity(X509* x509) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(x509, &der);
  if (size <= 0) return fail(openssl_error("certificate"));
  auto certificate = crypto::read_certificate_der(
      {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  if (!certificate) return fail(std::move(certificate).error());
  const auto fingerprint = fingerprint_of(x509);
  const BioPtr issuer(BIO_new(BIO_s_mem()));
  if (!fingerprint || !issuer ||
      X509_NAME_print_ex(issuer.get(), X509_get_issuer_name(x509), 0, XN_FLAG_RFC2253) < 0) {
    return fail(openssl_error("certificate"));
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(issuer.get(), &text);
  return std::make_shared<const PeerIdentity>(PeerIdentity{
      .common_name = std::move(certificate->common_name),
      .organization = std::move(certificate->organization),
      .dns_names = std::move(certificate->dns_names),
      .uri_names = std::move(certificate->uri_names),
      .serial_hex = std::move(certificate->serial_hex),
      .issuer = length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string(),
      .fingerprint = *fingerprint,
      .not_before = certificate->not_before,
      .not_after = certificate->not_after});
}

bool TlsGeneration::trusts(const Fingerprint& anchor) const {
  return std::ranges::binary_search(anchors, anchor);
}

Result<> install_client_verification(SSL_CTX* context, TlsContext::State& state,
                                     TlsGeneration& generation, std::string_view ca_pem) {
  // Reads and counts them, with better messages than OpenSSL's.
  SLUICE_TRY(crypto::read_certificates_pem(ca_pem));
  const BioPtr in = reader_of(ca_pem);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  while (const X509Ptr x509{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
    const auto anchor = fingerprint_of(x509.get());
    if (!anchor || X509_STORE_add_cert(store, x509.get()) != 1 ||
        SSL_CTX_add_client_CA(context, x509.get()) != 1) {
      return fail(openssl_error("CA certificate"));
    }
    generation.anchors.push_back(*anchor);
  }
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  std::ranges::sort(generation.anchors);
  // What the file names is trusted, be it a root or not: a fleet's authority is often an
  // intermediate, and its root would let in its other children.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  int mode = SSL_VERIFY_PEER;
  if (state.options.client_certificates == ClientCertificates::kRequired) {
    mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  SSL_CTX_set_verify(context, mode, nullptr);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(context, kMaxSentBytes);
  SSL_CTX_set_cert_verify_callback(context, verify_client, &state);
  return {};
}

}  // namespace sluice::net
