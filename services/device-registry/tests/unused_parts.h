#pragma once

#include "adapters/crypto_vault.h"
#include "adapters/rest_api.h"

#include <memory>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/http/router.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

#include <unistd.h>

namespace sluice::registry::testing {

/// A store that nobody asks.
class UnusedStore final : public Store {
 public:
  Result<> run(const Scope&, const RunOptions&,
               const std::function<Result<>(Transaction&)>&) override {
    return unused();
  }
  Result<Begun> begin_operation(const TenantId&, const NewOperation&) override { return unused(); }
  Result<> report_progress(const TenantId&, std::string_view, const OperationProgress&) override {
    return unused();
  }
  Result<> fail_operation(const TenantId&, std::string_view, const OperationOutcome&) override {
    return unused();
  }
  Result<Operation> find_operation(const TenantId&, std::string_view) override { return unused(); }
  Result<> keep_operation_alive(const TenantId&, std::string_view) override { return unused(); }
  Result<std::vector<std::string>> read_result(const TenantId&, std::string_view) override {
    return unused();
  }
  Result<> mark_result_taken(const TenantId&, std::string_view) override { return unused(); }

 private:
  static std::unexpected<Error> unused() {
    return fail(ErrorCode::kUnimplemented, "nobody asks this store");
  }
};

/// The router as the program has it, to be looked at and not to be called.
class UnusedParts {
 public:
  UnusedParts()
      : vault_(CryptoVault::open(Secret("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"),
                                 "sluice", clock_, random_)
                   .value()),
        catalog_(store_, *vault_, clock_, random_),
        operations_(store_, *vault_),
        importer_(store_, *vault_, clock_, random_),
        imports_({.spool_dir = "/tmp"}, importer_, *vault_,
                 Logger("test", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
                 metrics_),
        router_(make_router({catalog_, operations_, imports_}, [](std::string_view) {})) {}

  const http::Router& router() const { return router_; }

 private:
  SystemClock clock_;
  SystemRandom random_;
  Registry metrics_;
  UnusedStore store_;
  std::unique_ptr<CryptoVault> vault_;
  Catalog catalog_;
  Operations operations_;
  Importer importer_;
  ImportQueue imports_;
  http::Router router_;
};

}  // namespace sluice::registry::testing
