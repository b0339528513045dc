#pragma once

#include "tls_state.h"

#include <optional>
#include <string>
#include <string_view>

namespace sluice::net {

/// What we put into a session ticket beside the TLS library's session: who it is given to, and what
/// has to be known for checking that again. With it a ticket says all on any pod, and neither it
/// nor the connection needs the certificate. Empty when it would be too long for a ticket.
std::string encode_note(const VerifiedChain& chain);

/// Whether a ticket with this note (empty: none) may be resumed by a listener that asks for
/// certificates as ours does. Then `identity` is whose it is, null for nobody's.
bool admit_note(std::string_view note, HandshakeData& data, PeerIdentityPtr& identity);

}  // namespace sluice::net
