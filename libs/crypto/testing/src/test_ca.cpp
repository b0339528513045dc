#include <sluice/crypto/testing/test_ca.h>

#include "openssl.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <sluice/base/check.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace sluice::crypto::testing {
namespace {

constexpr int kSerialBits = 64;
constexpr std::chrono::seconds kAuthorityAge{2 * 24 * 3600};
constexpr std::chrono::seconds kAuthorityLife{365 * 24 * 3600};

KeyPtr make_p256_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  SLUICE_CHECK(key != nullptr);
  return key;
}

std::string pem_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* x509) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(PEM_write_bio_X509(bio.get(), x509) == 1);
  return pem_of(bio);
}

std::string pem_of(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
               1);
  return pem_of(bio);
}

void add_to_name(X509_NAME* name, const char* attribute, const std::string& value) {
  if (value.empty()) return;
  SLUICE_CHECK(X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_UTF8,
                                          bytes_of(std::string_view(value)),
                                          static_cast<int>(value.size()), -1, 0) == 1);
}

void add_extension(X509* x509, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  SLUICE_CHECK(extension && X509_add_ext(x509, extension.get(), -1) == 1);
}

/// Built by hand and not from OpenSSL's configuration language, in which a comma or a NUL byte of a
/// hostile name would mean something.
void add_alternative_names(X509* x509, const TestCa::Request& request) {
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(sk_GENERAL_NAME_new_null());
  const auto add = [&names](int type, std::string_view bytes) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_STRING* value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    SLUICE_CHECK(name != nullptr && value != nullptr &&
                 ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) == 1);
    GENERAL_NAME_set0_value(name, type, value);
    SLUICE_CHECK(sk_GENERAL_NAME_push(names.get(), name) > 0);
  };
  for (const auto& dns : request.dns_names) add(GEN_DNS, dns);
  for (const auto& uri : request.uri_names) add(GEN_URI, uri);
  for (const auto& ip : request.ip_addresses) {
    const std::unique_ptr<ASN1_OCTET_STRING, Free<ASN1_OCTET_STRING_free>> bytes(
        a2i_IPADDRESS(ip.c_str()));
    SLUICE_CHECK(bytes != nullptr);
    add(GEN_IPADD, {reinterpret_cast<const char*>(ASN1_STRING_get0_data(bytes.get())),
                    static_cast<std::size_t>(ASN1_STRING_length(bytes.get()))});
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return;
  SLUICE_CHECK(X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), 0, 0) == 1);
}

X509Ptr start_certificate(EVP_PKEY* key, std::chrono::seconds from, std::chrono::seconds until) {
  X509Ptr x509(X509_new());
  const BignumPtr serial(BN_new());
  SLUICE_CHECK(x509 && serial && X509_set_version(x509.get(), X509_VERSION_3) == 1 &&
               BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x509.get())) != nullptr &&
               X509_gmtime_adj(X509_getm_notBefore(x509.get()), from.count()) != nullptr &&
               X509_gmtime_adj(X509_getm_notAfter(x509.get()), until.count()) != nullptr &&
               X509_set_pubkey(x509.get(), key) == 1);
  return x509;
}

void sign(X509* x509, EVP_PKEY* key) { SLUICE_CHECK(X509_sign(x509, key, EVP_sha256()) > 0); }

/// Beside the target and then over it, so that a reader sees the old content or the new, never
/// half.
void replace_file(const std::string& path, const std::string& content) {
  const std::string fresh = path + ".new";
  std::ofstream(fresh, std::ios::binary) << content;
  std::filesystem::rename(fresh, path);
}

}  // namespace

struct TestCa::Impl {
  KeyPtr key;
  X509Ptr certificate;
  std::string pem;
};

TestCa::TestCa(const std::string& name) : impl_(std::make_unique<Impl>()) {
  impl_->key = make_p256_key();
  impl_->certificate = start_certificate(impl_->key.get(), -kAuthorityAge, kAuthorityLife);
  X509* x509 = impl_->certificate.get();
  add_to_name(X509_get_subject_name(x509), "CN", name);
  SLUICE_CHECK(X509_set_issuer_name(x509, X509_get_subject_name(x509)) == 1);
  add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(x509, x509, NID_subject_key_identifier, "hash");
  sign(x509, impl_->key.get());
  impl_->pem = pem_of(x509);
}

TestCa::~TestCa() = default;

const std::string& TestCa::cert_pem() const { return impl_->pem; }

TestCertificate TestCa::issue(const Request& request) const {
  const KeyPtr key = make_p256_key();
  const X509Ptr x509 = start_certificate(key.get(), request.valid_from, request.valid_until);
  X509* issuer = impl_->certificate.get();
  add_to_name(X509_get_subject_name(x509.get()), "CN", request.common_name);
  add_to_name(X509_get_subject_name(x509.get()), "O", request.organization);
  SLUICE_CHECK(X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer)) == 1);
  add_extension(x509.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x509.get(), issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(x509.get(), issuer, NID_authority_key_identifier, "keyid:always");
  std::string purposes = request.is_server ? "serverAuth" : "";
  if (request.is_client) purposes += purposes.empty() ? "clientAuth" : ",clientAuth";
  if (!purposes.empty()) add_extension(x509.get(), issuer, NID_ext_key_usage, purposes);
  add_alternative_names(x509.get(), request);
  sign(x509.get(), impl_->key.get());
  return {.cert_pem = pem_of(x509.get()), .key_pem = pem_of(key.get())};
}

TestCertificate TestCa::issue(const std::string& service_name) const {
  return issue(Request{.common_name = service_name, .dns_names = {service_name}});
}

TlsIdentity TestCa::write_identity(const std::string& folder,
                                   const std::string& service_name) const {
  return write_identity(folder, issue(service_name));
}

TlsIdentity TestCa::write_identity(const std::string& folder,
                                   const TestCertificate& certificate) const {
  std::filesystem::create_directories(folder);
  TlsIdentity identity;
  identity.cert_file = folder + "/tls.crt";
  identity.key_file = folder + "/tls.key";
  identity.ca_file = folder + "/ca.crt";
  replace_file(identity.ca_file, impl_->pem);
  replace_file(identity.key_file, certificate.key_pem);
  replace_file(identity.cert_file, certificate.cert_pem);
  return identity;
}

}  // namespace sluice::crypto::testing
