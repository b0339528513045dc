#include <sluice/crypto/tls_identity.h>

#include <format>
#include <utility>

#include <sluice/crypto/pem_file.h>

namespace sluice::crypto {

void TlsIdentity::declare(Settings& settings) {
  settings.text("tls_cert_file", &cert_file, "", {},
                "This service's certificate and chain, PEM; its DNS name is the service's name.");
  settings.text("tls_key_file", &key_file, "", {}, "Private key of the certificate, PEM.");
  settings.text("tls_ca_file", &ca_file, "", {},
                "Authorities, PEM: a service with a certificate of theirs is believed to be what "
                "its name says.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    const bool all = !cert_file.empty() && !key_file.empty() && !ca_file.empty();
    const bool none = cert_file.empty() && key_file.empty() && ca_file.empty();
    if (!all && !none) {
      faults.push_back(
          {"tls_cert_file",
           "tls_cert_file, tls_key_file and tls_ca_file go together: set all or none"});
    }
    return faults;
  });
}

Result<TlsMaterial> read_tls_material(const TlsIdentity& identity, const Clock& clock) {
  TlsMaterial out;
  SLUICE_TRY_ASSIGN(out.cert_chain_pem, read_pem_file("tls_cert_file", identity.cert_file));
  SLUICE_TRY_ASSIGN(auto key, read_pem_file("tls_key_file", identity.key_file));
  out.key_pem = Secret(std::move(key));
  SLUICE_TRY_ASSIGN(out.ca_pem, read_pem_file("tls_ca_file", identity.ca_file));

  auto chain = read_certificates_pem(out.cert_chain_pem);
  if (!chain)
    return fail(pem_file_fault("tls_cert_file", identity.cert_file, chain.error().message()));
  out.certificate = std::move(chain->front());
  if (!out.certificate.is_valid_at(clock.wall())) {
    return fail(pem_file_fault(
        "tls_cert_file", identity.cert_file,
        std::format("is valid from {} to {} only", format_rfc3339(out.certificate.not_before),
                    format_rfc3339(out.certificate.not_after))));
  }
  auto belongs = key_belongs_to(out.cert_chain_pem, out.key_pem.reveal());
  if (!belongs)
    return fail(pem_file_fault("tls_key_file", identity.key_file, belongs.error().message()));
  if (!*belongs) {
    return fail(
        pem_file_fault("tls_key_file", identity.key_file, "is not the key of tls_cert_file"));
  }
  if (auto authorities = read_certificates_pem(out.ca_pem); !authorities) {
    return fail(pem_file_fault("tls_ca_file", identity.ca_file, authorities.error().message()));
  }
  return out;
}

TlsFiles::TlsFiles(TlsIdentity identity, const Clock& clock)
    : identity_(std::move(identity)), clock_(clock) {}

Result<std::unique_ptr<TlsFiles>> TlsFiles::open(TlsIdentity identity, const Clock& clock) {
  std::unique_ptr<TlsFiles> files(new TlsFiles(std::move(identity), clock));
  SLUICE_TRY(files->reload_if_changed());
  return files;
}

std::shared_ptr<const TlsMaterial> TlsFiles::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

Result<bool> TlsFiles::reload_if_changed() {
  // Before reading: a change during the reading is then seen the next time.
  std::string stamp =
      stamp_of_files({&identity_.cert_file, &identity_.key_file, &identity_.ca_file});
  {
    std::lock_guard lock(mutex_);
    if (stamp == stamp_) return false;
  }
  SLUICE_TRY_ASSIGN(auto material, read_tls_material(identity_, clock_));
  auto shared = std::make_shared<const TlsMaterial>(std::move(material));
  std::lock_guard lock(mutex_);
  current_ = std::move(shared);
  stamp_ = std::move(stamp);
  return true;
}

}  // namespace sluice::crypto
