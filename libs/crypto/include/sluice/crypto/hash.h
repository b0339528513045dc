#pragma once

#include <string>
#include <string_view>

namespace sluice::crypto {

/// The 32 bytes of SHA-256.
std::string sha256(std::string_view bytes);

/// The 32 bytes of HMAC-SHA-256.
std::string hmac_sha256(std::string_view key, std::string_view bytes);

/// Overwrites the text in a way the compiler may not leave out, then empties it.
void wipe(std::string& text);

}  // namespace sluice::crypto
