#include "tls_state.h"

#include <algorithm>

#include <sluice/crypto/certificate.h>
#include <sluice/crypto/hash.h>

namespace sluice::net {

bool TlsGeneration::trusts(const Fingerprint& anchor) const {
  return std::ranges::binary_search(anchors, anchor);
}

SentChain SentChain::of(std::span<const Fingerprint> certificates) {
  SentChain out{.leaf = certificates.front(), .sent = certificates.front()};
  if (certificates.size() > 1) {
    const std::string digest = crypto::sha256(
        {reinterpret_cast<const char*>(certificates.data()), certificates.size_bytes()});
    std::ranges::transform(digest, out.sent.begin(), [](char c) { return std::byte(c); });
  }
  return out;
}

std::optional<VerifiedChain> find_verified(HandshakeData& data, const SentChain& sent) {
  TlsContext::State& state = *data.state;
  auto chain = state.chains.find(sent.leaf, data.generation->bundle, state.clock.wall());
  if (!chain || chain->sent != sent.sent) return std::nullopt;
  state.metrics.verify_cached.add();
  return chain;
}

Result<> remember_verified(HandshakeData& data, const SentChain& sent, std::string_view leaf_der,
                           std::string issuer, VerifiedChain& chain) {
  SLUICE_TRY_ASSIGN(auto read, crypto::read_certificate_der(leaf_der));
  chain.identity = std::make_shared<const PeerIdentity>(
      PeerIdentity{.common_name = std::move(read.common_name),
                   .organization = std::move(read.organization),
                   .dns_names = std::move(read.dns_names),
                   .uri_names = std::move(read.uri_names),
                   .serial_hex = std::move(read.serial_hex),
                   .issuer = std::move(issuer),
                   .fingerprint = sent.leaf,
                   .not_before = read.not_before,
                   .not_after = read.not_after});
  chain.sent = sent.sent;
  chain.bundle = data.generation->bundle;
  TlsContext::State& state = *data.state;
  state.chains.insert(sent.leaf, chain);
  state.metrics.chains.set(static_cast<double>(state.chains.size()));
  return {};
}

bool admit(HandshakeData& data, VerifiedChain chain) {
  const RevocationCheck& is_revoked = data.state->is_revoked;
  if (is_revoked && is_revoked(*chain.identity)) {
    data.failure = "revoked";
    return false;
  }
  data.identity = chain.identity;
  data.chain = std::move(chain);
  return true;
}

}  // namespace sluice::net
