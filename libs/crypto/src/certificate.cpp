#include <sluice/crypto/certificate.h>

#include "openssl.h"

#include <ctime>
#include <format>
#include <limits>
#include <memory>

#include <sluice/base/encoding.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace sluice::crypto {
namespace {

// A chain has a handful and a CA bundle of ours a few; the bound keeps a wrong file from being read
// for ever.
constexpr std::size_t kMaxCertificates = 64;
constexpr std::size_t kMaxPemSize = 1 << 20;

using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

std::unexpected<Error> refuse(std::string what) {
  return fail(ErrorCode::kInvalidArgument, std::move(what));
}

/// The text of an ASN.1 string as UTF-8.
Result<std::string> text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return refuse("certificate: a name is not text: " + take_openssl_error());
  std::string out(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  for (const char c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return refuse("certificate: a name has control characters");
  }
  return out;
}

/// One attribute of a name. Two of the same kind would let two programs see two identities.
Result<std::string> only_entry(const X509_NAME* name, int nid) {
  const int index = X509_NAME_get_index_by_NID(name, nid, -1);
  if (index < 0) return std::string();
  if (X509_NAME_get_index_by_NID(name, nid, index) >= 0) {
    return refuse(std::format("certificate: more than one {} in a name", OBJ_nid2sn(nid)));
  }
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

Result<WallTime> time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return refuse("certificate: a time cannot be read");
  const std::chrono::year_month_day date{
      std::chrono::year(parts.tm_year + 1900),
      std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
      std::chrono::day(static_cast<unsigned>(parts.tm_mday))};
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(parts.tm_hour) +
         std::chrono::minutes(parts.tm_min) + std::chrono::seconds(parts.tm_sec);
}

Result<> read_alternative_names(X509* x509, Certificate& out) {
  int critical = 0;
  NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, nullptr)));
  if (!names) {
    // -1: there is none; anything else: there is one that cannot be read, or there are two.
    if (critical == -1) return {};
    ERR_clear_error();
    return refuse("certificate: its alternative names cannot be read");
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      SLUICE_TRY_ASSIGN(auto text, text_of(name->d.dNSName));
      out.dns_names.push_back(std::move(text));
    } else if (name->type == GEN_URI) {
      SLUICE_TRY_ASSIGN(auto text, text_of(name->d.uniformResourceIdentifier));
      out.uri_names.push_back(std::move(text));
    }
  }
  return {};
}

Result<Certificate> read(X509* x509) {
  Certificate out;
  const X509_NAME* subject = X509_get_subject_name(x509);
  SLUICE_TRY_ASSIGN(out.common_name, only_entry(subject, NID_commonName));
  SLUICE_TRY_ASSIGN(out.organization, only_entry(subject, NID_organizationName));
  SLUICE_TRY_ASSIGN(out.issuer_common_name, only_entry(X509_get_issuer_name(x509), NID_commonName));
  SLUICE_TRY_ASSIGN(out.not_before, time_of(X509_get0_notBefore(x509)));
  SLUICE_TRY_ASSIGN(out.not_after, time_of(X509_get0_notAfter(x509)));
  SLUICE_TRY(read_alternative_names(x509, out));
  out.is_authority = X509_check_ca(x509) > 0;

  BignumPtr serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  if (!serial) return refuse("certificate: its serial number cannot be read");
  std::string serial_bytes(static_cast<std::size_t>(BN_num_bytes(serial.get())), '\0');
  BN_bn2bin(serial.get(), bytes_of(serial_bytes));
  out.serial_hex = to_hex(serial_bytes);

  std::string fingerprint(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (X509_digest(x509, EVP_sha256(), bytes_of(fingerprint), &size) != 1) {
    return refuse("certificate: " + take_openssl_error());
  }
  out.fingerprint_hex = to_hex(std::string_view(fingerprint).substr(0, size));
  return out;
}

/// Never asks a terminal for a pass phrase: an encrypted key is an error.
int refuse_pass_phrase(char*, int, int, void*) { return -1; }

}  // namespace

Result<std::vector<Certificate>> read_certificates_pem(std::string_view pem) {
  if (pem.size() > kMaxPemSize) return refuse("certificates: more than 1 MiB of PEM");
  std::vector<Certificate> out;
  const BioPtr bio = reader_of(pem);
  while (true) {
    X509Ptr x509(PEM_read_bio_X509(bio.get(), nullptr, refuse_pass_phrase, nullptr));
    if (!x509) break;
    if (out.size() == kMaxCertificates) return refuse("certificates: more than 64 of them");
    SLUICE_TRY_ASSIGN(auto certificate, read(x509.get()));
    out.push_back(std::move(certificate));
  }
  // The reader ends with "no start line" at the end of the text; anything else is a damaged block.
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = take_openssl_error();
  if (!is_end) return refuse("certificates: a PEM block cannot be read: " + reason);
  if (out.empty()) return refuse("certificates: there is none in this PEM text");
  return out;
}

Result<Certificate> read_certificate_der(std::string_view der) {
  if (der.size() > kMaxPemSize) return refuse("certificate: more than 1 MiB");
  const unsigned char* at = bytes_of(der);
  const unsigned char* end = at + der.size();
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!x509) return refuse("certificate: " + take_openssl_error());
  if (at != end) return refuse("certificate: there are bytes behind it");
  return read(x509.get());
}

Result<bool> key_belongs_to(std::string_view certificate_pem, std::string_view key_pem) {
  if (certificate_pem.size() > kMaxPemSize || key_pem.size() > kMaxPemSize) {
    return refuse("certificate and key: more than 1 MiB of PEM");
  }
  X509Ptr x509(
      PEM_read_bio_X509(reader_of(certificate_pem).get(), nullptr, refuse_pass_phrase, nullptr));
  if (!x509) return refuse("certificate: " + take_openssl_error());
  KeyPtr key(
      PEM_read_bio_PrivateKey(reader_of(key_pem).get(), nullptr, refuse_pass_phrase, nullptr));
  if (!key) return refuse("private key: " + take_openssl_error());
  const bool belongs = X509_check_private_key(x509.get(), key.get()) == 1;
  ERR_clear_error();
  return belongs;
}

}  // namespace sluice::crypto
