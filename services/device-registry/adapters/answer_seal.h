#pragma once

#include "core/catalog.h"
#include "ports.h"

#include <string>
#include <string_view>

#include <sluice/answer_store/answer_store.h>

namespace sluice::registry {

/// Seals kept answers, because one may hold a token that is shown once. The catalog seals in the
/// same way what it keeps in its own transactions. Thread-safe; `vault` must outlive it.
class VaultAnswerSeal final : public AnswerSeal {
 public:
  explicit VaultAnswerSeal(const Vault& vault) : vault_(vault) {}

  Result<std::string> seal(const http::IdempotencyKey& key,
                           std::string_view answer) const override {
    return vault_.seal(answer, answer_seal_context(key.tenant, key.subject, key.key));
  }
  Result<std::string> open(const http::IdempotencyKey& key,
                           std::string_view sealed) const override {
    return vault_.open(sealed, answer_seal_context(key.tenant, key.subject, key.key));
  }

 private:
  const Vault& vault_;
};

}  // namespace sluice::registry
