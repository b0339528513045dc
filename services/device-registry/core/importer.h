#pragma once

#include "core/caller.h"
#include "core/json.h"
#include "ports.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>

namespace sluice::registry {

/// Where the lines of an upload come from: an http::BodyReader with http::read_lines(), or a file.
class LineSource {
 public:
  using Line = std::function<Result<>(std::string_view line, std::uint64_t number)>;

  virtual ~LineSource() = default;
  /// Calls `line` for every line, without its ending and numbered from 1; empty lines may be left
  /// out. An error, its own or that of `line`, ends the reading and is returned. Called once;
  /// blocks.
  virtual Result<> read(const Line& line) = 0;
};

/// What was asked for with an upload.
struct ImportRequest {
  /// The caller's Idempotency-Key; empty: each upload is a new operation. A dry run does not use it
  /// up: the upload itself may come under it afterwards.
  std::string idempotency_key{};
  /// Of what is known before the body is read, such as method and target: the same key with another
  /// one is refused.
  std::string request_hash{};
  /// Whether a line that does not say gets a token. The tokens are the operation's result.
  bool issue_tokens = false;
  /// Everything is checked against the database, nothing is kept.
  bool is_dry_run = false;
};

struct ImportConfig {
  /// Lines written at a time: bounds memory, and sets how often progress is told.
  std::size_t batch_lines = 2000;
  /// The same for long lines, whichever comes first.
  std::size_t batch_bytes = std::size_t{2} << 20;
  /// Longest line taken: a device with the most metadata, and room.
  std::size_t max_line_bytes = 32 * 1024;
  std::size_t max_lines = 250'000;
  /// Of the tokens' text, which is fetched in one answer. Enough for max_lines with ids as long as
  /// they may be.
  std::size_t max_result_bytes = std::size_t{128} << 20;
  /// For the whole of it.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

/// Bulk registration of devices by newline-delimited JSON, one device a line, as in the POST of one
/// device, but external_id is required: it is what makes an upload repeatable.
///
/// All or nothing: one transaction holds all devices, their credentials, their records for
/// `control.devices` and the end of the operation. One faulty line, and nothing is written; the
/// operation then lists the first kMaxReportedFaults faults of all lines. A device whose
/// external_id exists already is skipped and counted, never changed, so that uploading again after
/// a crash, or twice, ends in the same state. Progress is told meanwhile outside the transaction.
///
/// Not part of it: a device class that a line names and nobody has made is made at once, with
/// defaults, and stays though the import fails. Made inside, nobody else could register a device of
/// this class until the import has ended. (A dry run makes its classes inside, and undoes them.)
///
///   SLUICE_TRY_ASSIGN(auto begun, importer.begin(caller, request));
///   if (!begun.is_new) return begun.operation;
///   return importer.run(caller, begun.operation.id, request, lines, is_stopping);
/// Thread-safe; run() blocks until the import has ended.
class Importer {
 public:
  Importer(Store& store, Vault& vault, const Clock& clock, Random& random,
           ImportConfig config = {});

  /// Makes the operation, or finds the one this key began before (is_new is then false).
  /// kInvalidArgument with reason "idempotency_key_reused" when the key belongs to another upload.
  Result<Store::Begun> begin(const Caller& caller, const ImportRequest& request);

  /// Says that a new operation waits for run() and is not dead. Call it more often than every
  /// kOperationSilence until run() has returned.
  Result<> keep_alive(const Caller& caller, std::string_view operation_id);

  /// Does the work of a new operation and gives it as it ended. An error means that not even its
  /// end could be written (the database is gone): the operation then ends as "interrupted" by
  /// itself, after kOperationSilence. `is_stopping` is asked between batches; true ends it with
  /// reason "shutting_down".
  Result<Operation> run(const Caller& caller, std::string_view operation_id,
                        const ImportRequest& request, LineSource& lines,
                        const std::function<bool()>& is_stopping);

 private:
  Store& store_;
  Vault& vault_;
  const Clock& clock_;
  Random& random_;
  const ImportConfig config_;
};

/// The faults an operation lists, of perhaps a million.
inline constexpr std::size_t kMaxReportedFaults = 100;

/// Reads operations, with the right to create devices; what another tenant began is kNotFound.
class Operations {
 public:
  Operations(Store& store, const Vault& vault) : store_(store), vault_(vault) {}

  Result<Operation> get(const Caller& caller, std::string_view operation_id);
  /// The tokens an import minted, NDJSON of {"line", "external_id", "device_id", "auth_token"}. The
  /// first time begins the kResultGrace in which it can be had again, for an answer may be lost on
  /// its way; then kNotFound with reason "result_gone". kFailedPrecondition with reason
  /// "operation_running" before the operation's end.
  Result<std::string> take_result(const Caller& caller, std::string_view operation_id);

 private:
  Store& store_;
  const Vault& vault_;
};

/// What a part of an operation's result is sealed for.
std::string result_seal_context(const TenantId& tenant, std::string_view operation_id,
                                std::size_t part);

}  // namespace sluice::registry
