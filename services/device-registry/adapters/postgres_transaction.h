#pragma once

#include "ports.h"

#include <sluice/postgres/statement.h>
#include <sluice/postgres/transaction.h>

namespace sluice::registry {

/// A transaction of PostgresStore. Lives as long as the body it is given to.
class PostgresTransaction final : public Transaction {
 public:
  PostgresTransaction(postgres::Transaction& sql, TenantId scope)
      : sql_(sql), scope_(std::move(scope)) {}

  Result<Resource> find(ResourceKind kind, std::string_view id, Lock lock) override;
  Result<std::vector<Resource>> list(ResourceKind kind, const ListQuery& query) override;
  Result<Resource> insert(const Resource& resource) override;
  Result<Resource> insert_credential(const Resource& credential,
                                     const CredentialSecrets& secrets) override;
  Result<Resource> insert_api_key(const Resource& key, std::string_view salt,
                                  std::string_view secret_hash) override;
  Result<Resource> update(const Resource& resource) override;
  Result<> remove(ResourceKind kind, std::string_view id) override;
  Result<Resource> revoke(ResourceKind kind, std::string_view id) override;
  Result<> ensure_tenant(std::string_view id) override;
  Result<std::optional<Resource>> ensure_device_class(std::string_view id) override;
  Result<DeviceRecord> device_record(std::string_view device_id) override;
  Result<std::vector<std::string>> active_credential_ids(std::string_view device_id) override;
  Result<std::vector<std::vector<CredentialRecord>>> find_credentials(
      std::span<const CredentialSearch> searches) override;
  Result<std::optional<ApiKeyRecord>> find_api_key(std::string_view id) override;
  Result<> keep_answer(const TenantId& tenant, std::string_view subject, std::string_view key,
                       std::string_view sealed_answer) override;
  Result<std::vector<std::int64_t>> reserve_revisions(std::size_t count) override;
  Result<std::vector<std::string>> existing_external_ids(
      std::span<const std::string> external_ids) override;
  Result<std::vector<std::string>> existing_device_ids(std::span<const std::string> ids) override;
  Result<std::vector<std::string>> insert_devices(std::span<const NewDevice> devices) override;
  Result<> add_result_part(std::string_view operation_id, std::size_t part,
                           std::string_view sealed) override;
  Result<> finish_operation(std::string_view operation_id,
                            const OperationOutcome& outcome) override;
  Result<> append_outbox(std::span<const OutboxRecord> records) override;

 private:
  Result<> write_attributes(const Resource& device);

  postgres::Transaction& sql_;
  const TenantId scope_;
};

/// The statement of a list.
postgres::Statement list_statement(ResourceKind kind, const TenantId& tenant,
                                   const ListQuery& query);

}  // namespace sluice::registry
