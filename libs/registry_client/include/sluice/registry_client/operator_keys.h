#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <sluice/auth/api_key_store.h>
#include <sluice/auth/tenant_directory.h>
#include <sluice/base/random.h>
#include <sluice/grpc/channel.h>
#include <sluice/kafka/consumer.h>
#include <sluice/kafka/table_reader.h>

namespace sluice::registry_client {

/// Operators' API keys, which the device registry knows. Thread-safe; `channel` and `random` must
/// outlive it.
class RegistryKeyStore final : public auth::ApiKeyStore {
 public:
  RegistryKeyStore(rpc::Channel& channel, Random& random);
  ~RegistryKeyStore() override;

  /// The registry says nothing about a key without its secret: kUnimplemented.
  Result<std::optional<auth::ApiKeyRecord>> find(std::string_view id) override;
  Result<std::optional<auth::ApiKeyRecord>> find_presented(const crypto::Token& key) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Which tenants are active, out of control.devices, whose other records it passes over. For tokens
/// of an identity provider alone, so it is only made where one is configured. Thread-safe.
class TenantTable final : public auth::TenantDirectory, private kafka::TableHandler {
 public:
  TenantTable(std::unique_ptr<kafka::Consumer> consumer, const kafka::ConsumerConfig& limits,
              const Clock& clock, const Logger& log, Registry& registry);

  void start() { reader_.start(); }
  void stop() { reader_.stop(); }
  /// kUnavailable until the table is complete.
  Result<bool> is_active(const TenantId& tenant) override;

 private:
  void on_change(const kafka::RecordView& record) override;

  std::mutex mutex_;  // guards tenants_
  std::map<std::string, bool, std::less<>> tenants_;
  kafka::TableReader reader_;
};

/// Where no identity provider is configured nobody comes with a token.
class NoTenants final : public auth::TenantDirectory {
 public:
  Result<bool> is_active(const TenantId& /*tenant*/) override { return false; }
};

}  // namespace sluice::registry_client
