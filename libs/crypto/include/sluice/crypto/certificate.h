#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::crypto {

/// What we read from an X.509 certificate. Names with control characters or NUL bytes are refused,
/// because they read differently to different programs.
struct Certificate {
  std::string common_name;   // of the subject; empty when it has none
  std::string organization;  // of the subject; empty when it has none
  std::string issuer_common_name;
  std::string serial_hex;
  std::vector<std::string> dns_names;  // subject alternative names
  std::vector<std::string> uri_names;
  WallTime not_before;
  WallTime not_after;
  std::string fingerprint_hex;  // SHA-256 of the whole certificate, 64 characters
  bool is_authority = false;

  bool is_valid_at(WallTime time) const { return not_before <= time && time < not_after; }
};

/// Every certificate of a PEM text in its order: a chain (own certificate first) or a CA bundle.
/// An error when there is none, more than 64, or one that cannot be read.
Result<std::vector<Certificate>> read_certificates_pem(std::string_view pem);
Result<Certificate> read_certificate_der(std::string_view der);

/// Whether the private key belongs to the first certificate. An error when either cannot be read.
Result<bool> key_belongs_to(std::string_view certificate_pem, std::string_view key_pem);

}  // namespace sluice::crypto
