#include "core/importer.h"

#include "core/new_device.h"
#include "core/records.h"

#include <algorithm>
#include <array>
#include <format>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>
#include <sluice/base/uuid.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;

constexpr std::string_view kFaultyLines = "faulty_lines";
constexpr std::string_view kShuttingDown = "shutting_down";
constexpr std::size_t kResultPartBytes = std::size_t{1} << 20;  // sealed and stored at a time

/// What one run of an import is given; all of it outlives the run.
struct RunContext {
  Store& store;
  Vault& vault;
  const Clock& clock;
  const Caller& caller;
  const ImportRequest& request;
  const ImportConfig& config;
  std::string_view operation_id{};
  const std::function<bool()>& is_stopping;
};

/// One import: takes lines, writes them batch by batch, and knows how it went.
class ImportRun {
 public:
  ImportRun(const RunContext& context, Random& random)
      : context_(context), uuids_(context.clock, random) {}

  Result<> run(Transaction& transaction, LineSource& lines) {
    const auto take_line = [&](std::string_view line, std::uint64_t number) -> Result<> {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
      SLUICE_TRY(take(line, number));
      const bool is_full = batch_.size() >= context_.config.batch_lines ||
                           batch_bytes_ >= context_.config.batch_bytes;
      return is_full ? write_batch(transaction) : Result<>();
    };
    SLUICE_TRY(lines.read(take_line));
    SLUICE_TRY(write_batch(transaction));
    if (outcome_.progress.faulty_lines > 0) {
      return fail(
          Error(ErrorCode::kInvalidArgument, "some lines are not valid, nothing was written")
              .with_reason(std::string(kFaultyLines)));
    }
    const std::string target = std::format("operation/{}", context_.operation_id);
    SLUICE_TRY(transaction.append_outbox(
        std::array{audit_record(context_.caller, {.record_id = uuids_.next(),
                                                  .at = context_.clock.wall(),
                                                  .action = "device.import",
                                                  .target = target,
                                                  .changed_fields = {}})}));
    outcome_.is_success = true;
    if (!context_.request.is_dry_run) {
      if (!tokens_.empty()) SLUICE_TRY(seal_tokens(transaction));
      SLUICE_TRY(transaction.finish_operation(context_.operation_id, outcome_));
    }
    SLUICE_CRASH_POINT("registry_import_before_commit");
    return {};
  }

  OperationOutcome& outcome() { return outcome_; }

 private:
  struct Line {
    std::uint64_t number = 0;
    std::string external_id{};
    PreparedDevice device{};
    std::string_view token_pointer{};  // where the line has its token; empty where we mint it
  };

  void add_fault(std::uint64_t line, FieldFault fault) {
    if (line != last_faulty_line_) ++outcome_.progress.faulty_lines;
    last_faulty_line_ = line;
    if (outcome_.faults.size() < kMaxReportedFaults)
      outcome_.faults.push_back({line, std::move(fault)});
  }

  Result<> take(std::string_view text, std::uint64_t number) {
    if (++outcome_.progress.lines_read > context_.config.max_lines) {
      return fail(
          Error(ErrorCode::kInvalidArgument,
                std::format("more than {} lines: split the upload", context_.config.max_lines))
              .with_reason("too_many_lines"));
    }
    // Also for faulty lines: an upload of nothing else must be watched and stopped like any other.
    if (outcome_.progress.lines_read % context_.config.batch_lines == 0)
      SLUICE_TRY(tell_progress());
    if (text.size() > context_.config.max_line_bytes) {
      add_fault(number,
                {"", std::format("is longer than {} bytes", context_.config.max_line_bytes)});
      return {};
    }
    auto document = parse_json(text);
    if (!document) {
      add_fault(number, document.error().faults().front());
      return {};
    }
    Line line{.number = number};
    const std::string id = uuids_.next().to_string();
    std::vector<FieldFault> faults{};
    line.device = prepare_device(*document, context_.caller.tenant, id,
                                 context_.request.issue_tokens, context_.vault, faults);
    if (faults.empty()) check_token(*document, line, faults);
    if (faults.empty()) {
      line.external_id = text_at(line.device.fields, "external_id");
      if (line.external_id.empty()) {
        faults.push_back(
            {"/external_id",
             "is required: it tells the device from others when it is uploaded again"});
      } else if (const auto [seen, is_new] =
                     lines_by_external_id_.emplace(line.external_id, number);
                 !is_new) {
        faults.push_back({"/external_id", std::format("is that of line {} too", seen->second)});
      }
    }
    for (FieldFault& fault : faults) add_fault(number, std::move(fault));
    // Once a line is faulty nothing will be kept, so the rest is only checked.
    if (outcome_.progress.faulty_lines > 0) {
      batch_.clear();
      return {};
    }
    batch_.push_back(std::move(line));
    batch_bytes_ += text.size();
    return {};
  }

  /// Two lines with one token id: the second would fail the batch without a word about which.
  void check_token(const Json& document, Line& line, std::vector<FieldFault>& faults) {
    if (!line.device.token) return;
    const auto has = [&](const char* name) {
      return document.contains(name) && !document[name].is_null();
    };
    line.token_pointer = has("auth_token")        ? "/auth_token"
                         : has("auth_token_hash") ? "/auth_token_hash/id"
                                                  : "";
    if (line.token_pointer.empty()) return;
    const auto [seen, is_new] =
        lines_by_token_.emplace(line.device.token->secrets.lookup_key, line.number);
    if (is_new) return;
    faults.push_back({std::string(line.token_pointer),
                      std::format("has the token id of line {} too", seen->second)});
  }

  Result<> tell_progress() {
    if (context_.is_stopping && context_.is_stopping()) {
      return fail(Error(ErrorCode::kUnavailable, "the registry is shutting down")
                      .with_reason(std::string(kShuttingDown)));
    }
    return context_.store.report_progress(context_.caller.tenant, context_.operation_id,
                                          outcome_.progress);
  }

  Result<> write_batch(Transaction& transaction) {
    if (batch_.empty()) return {};
    SLUICE_TRY(drop_existing(transaction));
    SLUICE_TRY(check_names(transaction));
    if (outcome_.progress.faulty_lines == 0 && !batch_.empty())
      SLUICE_TRY(write_devices(transaction));
    batch_.clear();
    batch_bytes_ = 0;
    if (tokens_.size() >= kResultPartBytes && !context_.request.is_dry_run) {
      SLUICE_TRY(seal_tokens(transaction));
    }
    SLUICE_CRASH_POINT("registry_import_after_batch");
    return {};
  }

  Result<> drop_existing(Transaction& transaction) {
    std::vector<std::string> external_ids{};
    external_ids.reserve(batch_.size());
    for (const Line& line : batch_) external_ids.push_back(line.external_id);
    SLUICE_TRY_ASSIGN(const std::vector<std::string> existing,
                      transaction.existing_external_ids(external_ids));
    outcome_.progress.devices_skipped += std::erase_if(batch_, [&](const Line& line) {
      return std::ranges::binary_search(existing, line.external_id);
    });
    return {};
  }

  /// What the batch's lines name: fleets must exist, and no external id may be a device's id.
  Result<> check_names(Transaction& transaction) {
    SLUICE_TRY_ASSIGN(const std::vector<std::string> taken, taken_as_ids(transaction));
    for (const Line& line : batch_) {
      const auto id = Uuid::parse(line.external_id);
      if (id && std::ranges::binary_search(taken, id->to_string())) {
        add_fault(line.number, {"/external_id", "is the id of another device"});
      }
      const std::string fleet = text_at(line.device.fields, "fleet_id");
      if (fleet.empty()) continue;
      auto known = fleets_.find(fleet);
      if (known == fleets_.end()) {
        const auto found = transaction.find(kFleet, fleet, Transaction::Lock::kNone);
        if (!found && found.error().code() != ErrorCode::kNotFound) return fail(found.error());
        known = fleets_.emplace(fleet, found.has_value()).first;
      }
      if (!known->second) add_fault(line.number, {"/fleet_id", "there is no such fleet"});
    }
    return {};
  }

  /// Of the batch's external ids, those that are ids of devices. Most are no UUIDs, and the store
  /// is not asked.
  Result<std::vector<std::string>> taken_as_ids(Transaction& transaction) {
    std::vector<std::string> ids{};
    for (const Line& line : batch_) {
      if (const auto id = Uuid::parse(line.external_id)) ids.push_back(id->to_string());
    }
    if (ids.empty()) return ids;
    return transaction.existing_device_ids(ids);
  }

  Result<> write_devices(Transaction& transaction) {
    const Occasion occasion{context_.clock.wall(), context_.caller.traceparent};
    std::vector<OutboxRecord> records{};
    records.reserve(batch_.size());
    for (const Line& line : batch_) {
      const std::string device_class = text_at(line.device.fields, "device_class");
      if (!classes_.insert(device_class).second) continue;
      SLUICE_TRY(make_class(transaction, device_class, occasion));
    }
    SLUICE_TRY_ASSIGN(const std::vector<std::int64_t> revisions,
                      transaction.reserve_revisions(batch_.size()));
    SLUICE_CHECK(revisions.size() == batch_.size());
    std::vector<NewDevice> devices{};
    devices.reserve(batch_.size());
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      Line& line = batch_[i];
      Resource device{.kind = kDevice,
                      .tenant = context_.caller.tenant,
                      .id = text_at(line.device.fields, "device_id"),
                      .revision = revisions[i],
                      .fields = std::move(line.device.fields)};
      std::vector<std::string> credential_ids;
      NewDevice made{.id = device.id, .revision = device.revision};
      if (line.device.token) {
        PreparedCredential& token = *line.device.token;
        credential_ids.push_back(text_at(token.fields, "credential_id"));
        add_token(line, device.id, token.shown_once);
        made.credential = std::move(token.fields);
        made.secrets = std::move(token.secrets);
      }
      records.push_back(device_record(device, credential_ids, occasion));
      made.fields = std::move(device.fields);
      devices.push_back(std::move(made));
    }
    SLUICE_TRY_ASSIGN(const std::vector<std::string> tokenless,
                      transaction.insert_devices(devices));
    if (!tokenless.empty()) {
      name_taken_tokens(devices, tokenless);
      return {};
    }
    SLUICE_TRY(transaction.append_outbox(records));
    outcome_.progress.devices_written += devices.size();
    return {};
  }

  /// Makes the class exist, in a transaction of its own: see Importer.
  Result<> make_class(Transaction& own, const std::string& id, const Occasion& occasion) {
    const auto make = [&](Transaction& transaction) -> Result<> {
      SLUICE_TRY_ASSIGN(const std::optional<Resource> made, transaction.ensure_device_class(id));
      if (!made) return {};
      return transaction.append_outbox(std::array{state_record(*made, occasion).value()});
    };
    if (context_.request.is_dry_run) return make(own);
    return context_.store.run(Scope::of(context_.caller.tenant), {}, make);
  }

  /// Adds a fault for each line of the batch whose device was left without its token.
  void name_taken_tokens(std::span<const NewDevice> devices,
                         std::span<const std::string> tokenless) {
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (!std::ranges::contains(tokenless, devices[i].id)) continue;
      add_fault(batch_[i].number,
                {std::string(batch_[i].token_pointer), "another credential has this token id"});
    }
  }

  Result<> seal_tokens(Transaction& transaction) {
    result_bytes_ += tokens_.size();
    if (result_bytes_ > context_.config.max_result_bytes) {
      return fail(Error(ErrorCode::kInvalidArgument,
                        std::format("the tokens would be more than {} bytes: split the upload",
                                    context_.config.max_result_bytes))
                      .with_reason("result_too_large"));
    }
    const std::size_t part = outcome_.result_parts++;
    SLUICE_TRY_ASSIGN(
        const std::string sealed,
        context_.vault.seal(
            tokens_, result_seal_context(context_.caller.tenant, context_.operation_id, part)));
    tokens_.clear();
    return transaction.add_result_part(context_.operation_id, part, sealed);
  }

  void add_token(const Line& line, const std::string& device_id, const Json& shown_once) {
    if (!shown_once.contains("auth_token")) return;
    tokens_ += Json{{"line", line.number},
                    {"external_id", line.external_id},
                    {"device_id", device_id},
                    {"auth_token", shown_once["auth_token"]}}
                   .dump();
    tokens_ += '\n';
  }

  RunContext context_;
  UuidGenerator uuids_;
  OperationOutcome outcome_;
  std::vector<Line> batch_;
  std::size_t batch_bytes_ = 0;
  // Bounded by ImportConfig::max_lines.
  std::unordered_map<std::string, std::uint64_t> lines_by_external_id_;
  std::unordered_map<std::string, std::uint64_t> lines_by_token_;  // given ones
  std::unordered_map<std::string, bool> fleets_;
  std::set<std::string> classes_;
  std::string tokens_;  // NDJSON, not yet sealed
  std::size_t result_bytes_ = 0;
  std::uint64_t last_faulty_line_ = 0;
};

}  // namespace

Importer::Importer(Store& store, Vault& vault, const Clock& clock, Random& random,
                   ImportConfig config)
    : store_(store), vault_(vault), clock_(clock), random_(random), config_(config) {}

Result<Store::Begun> Importer::begin(const Caller& caller, const ImportRequest& request) {
  SLUICE_TRY(check_access(caller, kDevice, Action::kCreate));
  return store_.begin_operation(
      caller.tenant,
      {.id = UuidGenerator(clock_, random_).next().to_string(),
       .kind = "device_import",
       .idempotency_key = request.is_dry_run ? std::string() : request.idempotency_key,
       .request_hash = request.request_hash});
}

Result<> Importer::keep_alive(const Caller& caller, std::string_view operation_id) {
  return store_.keep_operation_alive(caller.tenant, operation_id);
}

Result<Operation> Importer::run(const Caller& caller, std::string_view operation_id,
                                const ImportRequest& request, LineSource& lines,
                                const std::function<bool()>& is_stopping) {
  SLUICE_TRY(check_access(caller, kDevice, Action::kCreate));
  ImportRun run({.store = store_,
                 .vault = vault_,
                 .clock = clock_,
                 .caller = caller,
                 .request = request,
                 .config = config_,
                 .operation_id = operation_id,
                 .is_stopping = is_stopping},
                random_);
  const auto done = store_.run(
      Scope::of(caller.tenant),
      {.mode = request.is_dry_run ? Mode::kDryRun : Mode::kOnce, .timeout = config_.timeout},
      [&](Transaction& transaction) { return run.run(transaction, lines); });
  OperationOutcome& outcome = run.outcome();
  if (done && request.is_dry_run) {
    // The transaction that would have ended it was undone.
    outcome.reason = "dry_run";
    SLUICE_TRY(store_.fail_operation(caller.tenant, operation_id, outcome));
  } else if (!done) {
    outcome.is_success = false;
    outcome.result_parts = 0;
    outcome.progress.devices_written = 0;
    outcome.reason = done.error().reason().empty() ? std::string(to_string(done.error().code()))
                                                   : done.error().reason();
    // What went wrong inside is for the log; what is wrong with the upload is for its sender.
    if (outcome.faults.empty() && done.error().code() == ErrorCode::kInvalidArgument) {
      outcome.faults.push_back({outcome.progress.lines_read, {"", done.error().message()}});
    }
    const auto ended = store_.fail_operation(caller.tenant, operation_id, outcome);
    if (!ended) return fail(done.error());
  }
  return store_.find_operation(caller.tenant, operation_id);
}

Result<Operation> Operations::get(const Caller& caller, std::string_view operation_id) {
  SLUICE_TRY(check_access(caller, kDevice, Action::kCreate));
  const auto id = Uuid::parse(operation_id);
  if (!id) return fail(ErrorCode::kNotFound, "no such operation");
  return store_.find_operation(caller.tenant, id->to_string());
}

Result<std::string> Operations::take_result(const Caller& caller, std::string_view operation_id) {
  SLUICE_TRY_ASSIGN(const Operation operation, get(caller, operation_id));
  if (operation.state == Operation::State::kRunning) {
    return fail(Error(ErrorCode::kFailedPrecondition, "the operation has not ended")
                    .with_reason("operation_running"));
  }
  SLUICE_TRY_ASSIGN(const std::vector<std::string> parts,
                    store_.read_result(caller.tenant, operation.id));
  std::string result;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    SLUICE_TRY_ASSIGN(const std::string lines,
                      vault_.open(parts[i], result_seal_context(caller.tenant, operation.id, i)));
    result += lines;
  }
  // Only what could be opened counts as taken.
  SLUICE_TRY(store_.mark_result_taken(caller.tenant, operation.id));
  return result;
}

std::string result_seal_context(const TenantId& tenant, std::string_view operation_id,
                                std::size_t part) {
  return std::format("device_registry/result/{}/{}/{}", tenant.value(), operation_id, part);
}

}  // namespace sluice::registry
