#include "core/catalog.h"

#include "core/credential.h"
#include "core/new_device.h"
#include "core/records.h"
#include "core/resource_rules.h"

#include <algorithm>
#include <array>
#include <format>
#include <span>

#include <sluice/base/check.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;

/// Tenants are the platform's and have no tenant above them; everything else is one tenant's.
Scope scope_of(const Caller& caller, ResourceKind kind) {
  return kind == kTenant ? Scope::all_tenants() : Scope::of(caller.tenant);
}

/// About the size of its JSON text, without making it.
std::size_t size_of(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size() + 2;
  std::size_t size = 8;  // numbers, words and punctuation
  if (value.is_object()) {
    for (const auto& [name, child] : value.items()) size += name.size() + size_of(child);
  } else if (value.is_array()) {
    for (const Json& child : value) size += size_of(child);
  }
  return size;
}

/// How many of the items a page holds: at least one, or it would never end.
std::size_t fitting_count(std::span<const Resource> items, std::size_t page_size) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < std::min(items.size(), page_size); ++i) {
    bytes += size_of(items[i].fields);
    if (bytes > kMaxPageBytes && i > 0) return i;
  }
  return std::min(items.size(), page_size);
}

}  // namespace

Catalog::Catalog(Store& store, Vault& vault, const Clock& clock, Random& random)
    : store_(store), vault_(vault), clock_(clock), uuids_(clock, random) {}

Result<Resource> Catalog::get(const Caller& caller, ResourceKind kind, std::string_view id) {
  SLUICE_TRY(check_access(caller, kind, Action::kRead));
  SLUICE_TRY_ASSIGN(const std::string key, id_of(kind, id));
  return in_transaction(store_, scope_of(caller, kind), {.mode = Mode::kRead},
                        [&](Transaction& transaction) {
                          return transaction.find(kind, key, Transaction::Lock::kNone);
                        });
}

Result<Page> Catalog::list(const Caller& caller, ResourceKind kind, const ListRequest& request) {
  SLUICE_TRY(check_access(caller, kind, Action::kRead));
  SLUICE_CHECK((kind == kCredential) == request.device_id.has_value());
  const ResourceInfo& info = info_of(kind);
  const std::size_t page_size = request.page_size == 0 ? kDefaultPageSize : request.page_size;
  if (page_size > kMaxPageSize) {
    return fail(Error(ErrorCode::kInvalidArgument, "page_size is too large")
                    .with_fault("page_size", std::format("must be 1 to {}", kMaxPageSize)));
  }
  ListQuery query;
  SLUICE_TRY_ASSIGN(query.filter, parse_filter(request.filter, info));
  SLUICE_TRY_ASSIGN(query.order, parse_order(request.order_by, info));
  if (request.device_id) {
    SLUICE_TRY_ASSIGN(query.device_id, id_of(kDevice, *request.device_id));
  }
  const std::string question =
      question_of(info, request.filter, request.order_by) + query.device_id.value_or("");
  if (!request.page_token.empty()) {
    SLUICE_TRY_ASSIGN(query.after,
                      decode_page_token(request.page_token, question, query.order, info));
  }
  query.limit = page_size + 1;  // one more tells whether there is a next page

  return in_transaction(
      store_, scope_of(caller, kind), {.mode = Mode::kRead},
      [&](Transaction& transaction) -> Result<Page> {
        if (query.device_id) {
          SLUICE_TRY(transaction.find(kDevice, *query.device_id, Transaction::Lock::kNone));
        }
        Page page;
        SLUICE_TRY_ASSIGN(page.items, transaction.list(kind, query));
        const std::size_t fitting = fitting_count(page.items, page_size);
        if (page.items.size() > fitting) {
          page.items.resize(fitting);
          const Resource& last = page.items.back();
          page.next_page_token = encode_page_token(
              {.value = text_at(last.fields, query.order.field->name), .id = last.id}, question);
        }
        return page;
      });
}

Result<Written> Catalog::write(const Caller& caller, ResourceKind kind, const WriteOptions& options,
                               const Work& work) {
  const Store::RunOptions run{.mode = options.is_dry_run ? Mode::kDryRun : Mode::kWrite};
  return in_transaction(
      store_, scope_of(caller, kind), run, [&](Transaction& transaction) -> Result<Written> {
        SLUICE_TRY_ASSIGN(Written written, work(transaction));
        if (options.is_dry_run) {
          // A secret that is not kept would be believed by whoever saw it.
          written.shown_once = Json::object();
          return written;
        }
        // A key belongs to the caller's own tenant. Where the platform acts for another, this
        // transaction cannot see it, and the answer is kept by whoever sends it.
        if (options.keep_answer && (caller.home == caller.tenant || kind == kTenant)) {
          const KeepAnswer& answer = *options.keep_answer;
          SLUICE_TRY_ASSIGN(
              const std::string sealed,
              vault_.seal(answer.render(written),
                          answer_seal_context(caller.home, answer.subject, answer.key)));
          SLUICE_TRY(transaction.keep_answer(caller.home, answer.subject, answer.key, sealed));
        }
        return written;
      });
}

Result<Written> Catalog::create(const Caller& caller, ResourceKind kind, const Json& body,
                                const WriteOptions& options) {
  SLUICE_CHECK(kind != kCredential);
  SLUICE_TRY(check_access(caller, kind, Action::kCreate));
  SLUICE_TRY(options.preconditions.check_write(std::nullopt));
  return write(caller, kind, options, [&](Transaction& transaction) {
    if (kind == kDevice) return insert_device(transaction, caller, body);
    if (kind == kApiKey) return insert_api_key(transaction, caller, body);
    return insert_plain(transaction, caller, kind, body);
  });
}

Result<Written> Catalog::insert_plain(Transaction& transaction, const Caller& caller,
                                      ResourceKind kind, const Json& body) {
  SLUICE_TRY_ASSIGN(Json fields, fields_of_new(kind, body));
  const std::string id = text_at(fields, info_of(kind).id_field);
  const Resource resource{.kind = kind,
                          .tenant = kind == kTenant ? TenantId(id) : caller.tenant,
                          .id = id,
                          .fields = std::move(fields)};
  Written written;
  SLUICE_TRY_ASSIGN(written.resource, transaction.insert(resource));
  std::vector<OutboxRecord> records;
  if (auto record = state_record(written.resource, {clock_.wall(), caller.traceparent})) {
    records.push_back(*std::move(record));
  }
  records.push_back(
      audit(caller, verb_of(kind, "create"), target_of(written.resource), names_of(body)));
  SLUICE_TRY(transaction.append_outbox(records));
  return written;
}

Result<Written> Catalog::insert_device(Transaction& transaction, const Caller& caller,
                                       const Json& body) {
  const std::string id = uuids_.next().to_string();
  std::vector<FieldFault> faults;
  PreparedDevice prepared = prepare_device(body, caller.tenant, id, true, vault_, faults);
  if (!faults.empty()) return invalid(std::move(faults));

  SLUICE_TRY_ASSIGN(const std::optional<Resource> new_class,
                    transaction.ensure_device_class(text_at(prepared.fields, "device_class")));
  Written written;
  SLUICE_TRY_ASSIGN(written.resource, transaction.insert({.kind = kDevice,
                                                          .tenant = caller.tenant,
                                                          .id = id,
                                                          .fields = std::move(prepared.fields)}));
  std::vector<std::string> credential_ids;
  if (prepared.token) {
    const PreparedCredential& token = *prepared.token;
    Resource credential{.kind = kCredential,
                        .tenant = caller.tenant,
                        .id = text_at(token.fields, "credential_id"),
                        .fields = token.fields};
    SLUICE_TRY(transaction.insert_credential(credential, token.secrets));
    credential_ids.push_back(credential.id);
    written.shown_once = token.shown_once;
  }
  const Occasion occasion{clock_.wall(), caller.traceparent};
  std::vector<OutboxRecord> records;
  if (new_class) records.push_back(state_record(*new_class, occasion).value());
  records.push_back(device_record(written.resource, credential_ids, occasion));
  records.push_back(audit(caller, "device.create", target_of(written.resource), names_of(body)));
  SLUICE_TRY(transaction.append_outbox(records));
  return written;
}

Result<Written> Catalog::insert_api_key(Transaction& transaction, const Caller& caller,
                                        const Json& body) {
  SLUICE_TRY_ASSIGN(Json fields, fields_of_new(kApiKey, body));
  // Nothing of the platform's is for others to read, so a lesser role would promise a safety that
  // it does not have.
  if (caller.tenant.value() == kPlatformTenant && text_at(fields, "role") != "admin") {
    return invalid({{"/role", "must be admin for a key of the platform"}});
  }
  const MintedToken token = vault_.mint(TokenKind::kOperator);
  Resource key{
      .kind = kApiKey, .tenant = caller.tenant, .id = token.id, .fields = std::move(fields)};
  key.fields["key_id"] = token.id;
  Written written;
  SLUICE_TRY_ASSIGN(written.resource, transaction.insert_api_key(key, token.salt, token.hash));
  written.shown_once["key"] = token.text;
  SLUICE_TRY(transaction.append_outbox(
      std::array{audit(caller, "api_key.create", target_of(written.resource), names_of(body))}));
  return written;
}

Result<Written> Catalog::update(const Caller& caller, ResourceKind kind, std::string_view id,
                                const Json& patch, const WriteOptions& options) {
  SLUICE_CHECK(kind != kCredential && kind != kApiKey);
  SLUICE_TRY(check_access(caller, kind, Action::kUpdate));
  SLUICE_TRY_ASSIGN(const std::string key, id_of(kind, id));
  return write(caller, kind, options, [&](Transaction& transaction) -> Result<Written> {
    SLUICE_TRY_ASSIGN(Resource resource, transaction.find(kind, key, Transaction::Lock::kUpdate));
    SLUICE_TRY(options.preconditions.check_write(resource.revision));
    const Json before = writable_part(kind, resource.fields);
    SLUICE_TRY_ASSIGN(const Json after, apply_patch(kind, before, patch));
    if (after == before) return Written{.resource = std::move(resource), .is_changed = false};
    if (kind == kTenant && key == kPlatformTenant && text_at(after, "status") != "active") {
      return invalid({{"/status", "the platform cannot be suspended"}});
    }
    std::vector<std::string> changed = changed_names(before, after);
    for (const Field& field : info_of(kind).shape) resource.fields.erase(std::string(field.name));
    resource.fields.update(after);

    std::optional<Resource> new_class;
    if (kind == kDevice) {
      SLUICE_TRY_ASSIGN(new_class, transaction.ensure_device_class(text_at(after, "device_class")));
    }
    Written written;
    SLUICE_TRY_ASSIGN(written.resource, transaction.update(resource));
    const Occasion occasion{clock_.wall(), caller.traceparent};
    if (new_class) {
      SLUICE_TRY(transaction.append_outbox(std::array{state_record(*new_class, occasion).value()}));
    }
    const std::string action = verb_of(kind, "update");
    const std::string target = target_of(written.resource);
    if (kind == kDevice) {
      SLUICE_TRY(publish_device(transaction, caller, written.resource, action, target,
                                std::move(changed)));
      return written;
    }
    std::vector<OutboxRecord> records;
    if (auto record = state_record(written.resource, occasion))
      records.push_back(*std::move(record));
    records.push_back(audit(caller, action, target, std::move(changed)));
    SLUICE_TRY(transaction.append_outbox(records));
    return written;
  });
}

Result<> Catalog::remove(const Caller& caller, ResourceKind kind, std::string_view id,
                         const WriteOptions& options) {
  SLUICE_CHECK(kind != kCredential && kind != kApiKey);
  SLUICE_TRY(check_access(caller, kind, Action::kDelete));
  SLUICE_TRY_ASSIGN(const std::string key, id_of(kind, id));
  if (kind == kTenant && key == kPlatformTenant) {
    return fail(Error(ErrorCode::kFailedPrecondition, "the platform cannot be deleted")
                    .with_reason("in_use"));
  }
  const auto removed =
      write(caller, kind, options, [&](Transaction& transaction) -> Result<Written> {
        SLUICE_TRY_ASSIGN(Resource resource,
                          transaction.find(kind, key, Transaction::Lock::kUpdate));
        SLUICE_TRY(options.preconditions.check_write(resource.revision));
        SLUICE_TRY(transaction.remove(kind, key));
        std::vector<OutboxRecord> records;
        if (auto record = tombstone(resource, {clock_.wall(), caller.traceparent})) {
          records.push_back(*std::move(record));
        }
        records.push_back(audit(caller, verb_of(kind, "delete"), target_of(resource), {}));
        SLUICE_TRY(transaction.append_outbox(records));
        return Written{.resource = std::move(resource)};
      });
  if (!removed) return fail(removed.error());
  return {};
}

Result<> Catalog::publish_device(Transaction& transaction, const Caller& caller,
                                 const Resource& device, std::string_view action,
                                 std::string_view target, std::vector<std::string> changed_fields) {
  SLUICE_TRY_ASSIGN(const std::vector<std::string> active,
                    transaction.active_credential_ids(device.id));
  return transaction.append_outbox(
      std::array{device_record(device, active, {clock_.wall(), caller.traceparent}),
                 audit(caller, action, target, std::move(changed_fields))});
}

OutboxRecord Catalog::audit(const Caller& caller, std::string_view action, std::string_view target,
                            std::vector<std::string> changed_fields) {
  return audit_record(caller, {.record_id = uuids_.next(),
                               .at = clock_.wall(),
                               .action = action,
                               .target = target,
                               .changed_fields = std::move(changed_fields)});
}

std::string answer_seal_context(const TenantId& tenant, std::string_view subject,
                                std::string_view key) {
  return std::format("device_registry/answer/{}/{}/{}", tenant.value(), subject, key);
}

}  // namespace sluice::registry
