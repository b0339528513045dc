#pragma once

#include <cstddef>
#include <string_view>

#include <sluice/net/stream.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/// What a TLS library's codes mean to us, the same whichever it is. The libraries call most of them
/// alike and number them otherwise, so each includes this behind its own headers, and all of it is
/// static: one name has two meanings in the program.
namespace sluice::net {

/// The stable word for what a call of the handshake left in the library's queue; empties the queue.
/// `own_word` knows the reasons that the other library lacks; empty: none of them.
static inline std::string_view failure_word(int ssl_error, std::string_view (*own_word)(int)) {
  const auto error = ERR_peek_error();
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN) return "closed";
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return "protocol";
  const int reason = ERR_GET_REASON(error);
  if (reason >= SSL_AD_REASON_OFFSET) return "peer_alert";
  switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "closed";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no_certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      return "version";
    case SSL_R_NO_SHARED_CIPHER:
      return "nothing_in_common";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return "not_tls";
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_DIGEST_CHECK_FAILED:
      return "bad_proof";
    default:
      break;
  }
  const std::string_view word = own_word(reason);
  return word.empty() ? "protocol" : word;
}

/// The stable word for why a client's chain is not to be believed.
static inline std::string_view chain_word(int verification_error) {
  switch (verification_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "certificate_expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate_not_yet_valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
      return "unknown_ca";
    default:
      return "bad_certificate";
  }
}

/// What a read or a write that moved no bytes comes to, after `count` that earlier calls moved.
/// Empties the queue.
static inline IoResult result_after(int ssl_error, std::size_t count) {
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE) {
    return {.count = count, .status = IoStatus::kWouldBlock, .is_drained = true};
  }
  const bool is_end = ssl_error == SSL_ERROR_ZERO_RETURN;
  return {.count = count, .status = is_end ? IoStatus::kEnd : IoStatus::kFailed};
}

}  // namespace sluice::net
