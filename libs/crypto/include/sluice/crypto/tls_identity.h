#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/config/settings.h>
#include <sluice/crypto/certificate.h>

namespace sluice::crypto {

/// Settings of a service's own identity towards other services: its certificate, whose DNS name is
/// the service's name, its key, and the authorities whose services it believes. All three or none.
struct TlsIdentity {
  std::string cert_file;  // setting tls_cert_file
  std::string key_file;   // setting tls_key_file
  std::string ca_file;    // setting tls_ca_file

  void declare(Settings& settings);
  bool is_set() const { return !cert_file.empty(); }
};

/// The content of an identity's files, read together and checked to fit together.
struct TlsMaterial {
  std::string cert_chain_pem;
  Secret key_pem;
  std::string ca_pem;
  Certificate certificate;  // the first of the chain
};

/// Reads and checks the files: the key belongs to the certificate, the certificate is valid now,
/// the authorities can be read. Every failure names its setting.
Result<TlsMaterial> read_tls_material(const TlsIdentity& identity, const Clock& clock);

/// Keeps an identity's files in memory and follows their changes (cert-manager renews in place).
/// Has no thread: its owner calls reload_if_changed() every now and then. Thread-safe.
class TlsFiles {
 public:
  /// An identity that cannot be read stops the start. `clock` must outlive it.
  static Result<std::unique_ptr<TlsFiles>> open(TlsIdentity identity, const Clock& clock);

  /// Never null. Shared with whoever still uses it after a reload.
  std::shared_ptr<const TlsMaterial> current() const;

  /// True when new files were taken. New files that do not fit together or have run out are an
  /// error, and the last good ones stay: a renewal caught half-written is read whole the next time.
  Result<bool> reload_if_changed();

 private:
  TlsFiles(TlsIdentity identity, const Clock& clock);

  const TlsIdentity identity_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsMaterial> current_;  // owned here and by the callers of current()
  std::string stamp_;                           // which files were read: identity and time of each
};

}  // namespace sluice::crypto
