#include "session.h"

#include <cstring>

#include <openssl/async.h>

namespace sluice::net {
namespace {

// RFC 9257 wants 128 bits.
constexpr std::size_t kMinPskSize = 16;

/// OpenSSL wants the key as this function's result, while ours is on its way from another process.
/// In TLS 1.2 the identity comes in the middle of the handshake, too late for OpenSSL's own way of
/// pausing (the client hello callback). So the handshake runs as an OpenSSL job, with a stack of
/// its own that is left here and come back to when the owner calls handshake() again.
unsigned find_key(SSL* ssl, const char* identity, unsigned char* out, unsigned out_size) noexcept {
  HandshakeData* const data = handshake_data(ssl);
  if (data == nullptr || identity == nullptr) return 0;
  // TLS 1.3 clients may name several; the first is asked for, since each asking is a look-up that
  // somebody unknown causes.
  if (data->psk_step != PskStep::kNone && data->psk_identity != identity) return 0;
  if (data->psk_step == PskStep::kNone) {
    try {
      data->psk_identity = identity;
    } catch (...) {
      return 0;
    }
    data->psk_step = PskStep::kAsked;
  }
  while (data->psk_step == PskStep::kAsked) {
    if (ASYNC_pause_job() != 1) return 0;
  }
  const std::string& key = data->psk.reveal();
  if (key.size() < kMinPskSize || key.size() > out_size) {
    data->failure = "unknown_psk";
    return 0;
  }
  std::memcpy(out, key.data(), key.size());
  return static_cast<unsigned>(key.size());
}

}  // namespace

void install_psk(SSL_CTX* context) {
  SSL_CTX_set_mode(context, SSL_MODE_ASYNC);
  SSL_CTX_set_psk_server_callback(context, find_key);
}

}  // namespace sluice::net
