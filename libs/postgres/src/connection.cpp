#include "connection.h"

#include "connect.h"
#include "rows_impl.h"

#include <algorithm>
#include <format>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>
#include <sluice/postgres/error_map.h>

namespace sluice::postgres {
namespace {

using std::chrono::milliseconds;

// Statements kept prepared on one session. Texts are literals, so that a service has far fewer; the
// bound is for the one that makes them in a loop all the same.
constexpr std::size_t kMaxPrepared = 256;
constexpr Oid kByteaOid = 17;

/// The server's own limit lies a little before ours, so that a statement which takes too long is
/// ended by the server and the session stays of use. Ours is for a server that does not answer.
milliseconds server_timeout(MonoTime deadline, MonoTime now) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - now);
  const auto margin = std::min(left / 10, milliseconds(250));
  return std::max(left - margin, milliseconds(1));  // 0 would mean none
}

std::string begin_sql(const TransactionOptions& options, milliseconds statement_timeout) {
  std::string_view isolation = "READ COMMITTED";
  if (options.isolation == Isolation::kRepeatableRead) isolation = "REPEATABLE READ";
  if (options.isolation == Isolation::kSerializable) isolation = "SERIALIZABLE";
  std::string_view tenant;
  if (options.all_tenants) tenant = kAllTenants;
  if (options.tenant) tenant = options.tenant->value();
  // One round trip. The tenant is always set, so that nothing can be left over from somebody else;
  // its text is safe to quote, since check_id() lets neither quotes nor backslashes through.
  return std::format(
      "BEGIN ISOLATION LEVEL {} {}; SET LOCAL statement_timeout = {}; SET LOCAL sluice.tenant = "
      "'{}'",
      isolation, options.read_only ? "READ ONLY" : "READ WRITE", statement_timeout.count(), tenant);
}

Result<> check_options(const TransactionOptions& options) {
  if (options.tenant && options.all_tenants) {
    return fail(ErrorCode::kInvalidArgument,
                "a transaction is for one tenant or for all, not both");
  }
  if (options.tenant) SLUICE_TRY(check_id(options.tenant->value(), "tenant"));
  return {};
}

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : text;
}

/// What a caller may branch on: the constraint, or the column of a NULL that must not be.
std::string_view reason_of(const PGresult* result) {
  const std::string_view constraint = field(result, PG_DIAG_CONSTRAINT_NAME);
  return constraint.empty() ? field(result, PG_DIAG_COLUMN_NAME) : constraint;
}

bool is_failure(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
         status == PGRES_NONFATAL_ERROR;
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& conninfo,
                                                     const std::string& setup, const Clock& clock,
                                                     MonoTime deadline) {
  SLUICE_TRY_ASSIGN(PgConn session, connect(conninfo, clock, deadline));
  std::unique_ptr<Connection> connection(new Connection(std::move(session), clock, deadline));
  if (auto done = connection->run_script(setup); !done) {
    // Whatever the server says, it does not let us work.
    return fail(Error(ErrorCode::kUnavailable, done.error().message())
                    .context("set up a PostgreSQL session"));
  }
  return connection;
}

bool Connection::is_usable() const {
  return !is_broken_ && !is_copying_ && PQstatus(session_.get()) == CONNECTION_OK &&
         PQtransactionStatus(session_.get()) == PQTRANS_IDLE;
}

Result<> Connection::check() { return run_script("SELECT 1"); }

Result<Rows> Connection::query(std::string_view text, std::span<const Param> params,
                               Preparation preparation, Answer answer) {
  SLUICE_CHECK(!is_copying_);
  if (is_broken_) return fail(broken(ErrorCode::kUnavailable, "the connection was lost"));
  std::vector<const char*> values;
  std::vector<int> sizes;
  std::vector<int> formats;
  std::vector<Oid> types;
  for (const Param& param : params) {
    if (param.kind() == Param::Kind::kText && param.encoded().contains('\0')) {
      return fail(remember(Error(ErrorCode::kInvalidArgument,
                                 "a text holds a zero byte, which PostgreSQL cannot store")));
    }
    const bool is_bytes = param.kind() == Param::Kind::kBytes;
    values.push_back(param.kind() == Param::Kind::kNull ? nullptr : param.encoded().c_str());
    sizes.push_back(static_cast<int>(param.encoded().size()));
    formats.push_back(is_bytes ? 1 : 0);
    types.push_back(is_bytes ? kByteaOid : 0);  // 0: the server finds the type from the statement
  }
  const int count = static_cast<int>(params.size());
  const int answer_format = answer == Answer::kBinary ? 1 : 0;
  int sent = 0;
  if (preparation == Preparation::kOnce) {
    SLUICE_TRY_ASSIGN(const std::string name, prepared_name(text));
    sent = PQsendQueryPrepared(session_.get(), name.c_str(), count, values.data(), sizes.data(),
                               formats.data(), answer_format);
  } else {
    sent = PQsendQueryParams(session_.get(), std::string(text).c_str(), count, types.data(),
                             values.data(), sizes.data(), formats.data(), answer_format);
  }
  if (sent == 0) return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
  SLUICE_TRY_ASSIGN(PgResult result, finish_statement());
  return Rows(std::make_shared<const Rows::Impl>(std::move(result)));
}

Result<> Connection::run_script(std::string_view text) {
  SLUICE_CHECK(!is_copying_);
  if (is_broken_) return fail(broken(ErrorCode::kUnavailable, "the connection was lost"));
  if (PQsendQuery(session_.get(), std::string(text).c_str()) == 0) {
    return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
  }
  SLUICE_TRY(finish_statement());
  return {};
}

Connection::Outcome Connection::run_transaction(const TransactionOptions& options,
                                                MonoTime deadline, milliseconds begin_timeout,
                                                const std::function<Result<>(Transaction&)>& body) {
  if (auto checked = check_options(options); !checked) return {.result = std::move(checked)};
  const MonoTime now = clock_.mono();
  const std::string begin = begin_sql(options, server_timeout(deadline, now));
  set_deadline(std::min(deadline, now + begin_timeout));
  transaction_error_.reset();
  if (auto begun = run_script(begin); !begun) {
    is_broken_ = true;  // half of it may have been done
    return {.result = std::move(begun), .was_dead_at_begin = true};
  }

  set_deadline(deadline);
  is_in_transaction_ = true;
  Transaction transaction(*this);
  Result<> result = body(transaction);
  is_in_transaction_ = false;
  if (result && transaction_error_) result = fail(*transaction_error_);
  if (!result) {
    if (!is_broken_ && !run_script("ROLLBACK")) is_broken_ = true;
    const bool is_conflict =
        transaction_error_ && transaction_error_->code() == ErrorCode::kAborted;
    const bool is_stale = has_stale_statement_;
    // A read-only server is what a failover leaves behind; the address may lead elsewhere by now.
    if (transaction_error_ && transaction_error_->reason() == "read_only" && !options.read_only)
      is_broken_ = true;
    if (is_stale) is_broken_ = true;
    return {.result = std::move(result), .can_be_repeated = is_conflict || is_stale};
  }
  SLUICE_CRASH_POINT("postgres_before_commit");
  auto committed = run_script("COMMIT");
  if (committed) {
    SLUICE_CRASH_POINT("postgres_after_commit");
    return {.result = {}};
  }
  if (is_broken_) {
    const Error& why = committed.error();
    return {.result = fail(Error(why.code(),
                                 std::format("{}; whether the transaction was committed is unknown",
                                             why.message()))
                               .with_reason("outcome_unknown"))};
  }
  const bool is_conflict = committed.error().code() == ErrorCode::kAborted;
  return {.result = std::move(committed), .can_be_repeated = is_conflict};
}

Result<std::string> Connection::prepared_name(std::string_view text) {
  std::string key(text);
  if (const auto found = prepared_.find(key); found != prepared_.end()) return found->second;
  if (prepared_.size() >= kMaxPrepared) {
    SLUICE_TRY(run_script("DEALLOCATE ALL"));
    prepared_.clear();
  }
  std::string name = std::format("sluice_{}", prepared_.size());
  if (PQsendPrepare(session_.get(), name.c_str(), key.c_str(), 0, nullptr) == 0) {
    return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
  }
  SLUICE_TRY(finish_statement());
  prepared_.emplace(std::move(key), name);
  return name;
}

/// Sends what is still to be sent and takes everything that the statement answers: its last result,
/// or its first error.
Result<PgResult> Connection::finish_statement() {
  SLUICE_TRY(flush());
  PgResult last;
  std::optional<Error> error;
  for (;;) {
    SLUICE_TRY(receive());
    PgResult result(PQgetResult(session_.get()));
    if (!result) break;
    const ExecStatusType status = PQresultStatus(result.get());
    if (is_failure(result.get())) {
      if (!error) error = error_of(result.get());
      if (PQstatus(session_.get()) != CONNECTION_OK) break;
    } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      if (is_copying_) return result;
      return fail(remember(broken(ErrorCode::kInternal, "COPY is done by CopyWriter alone")));
    }
    last = std::move(result);
  }
  if (error) return fail(remember(*std::move(error)));
  if (!last) return fail(broken(ErrorCode::kUnavailable, "the server gave no answer"));
  if (is_in_transaction_ && PQtransactionStatus(session_.get()) == PQTRANS_IDLE) {
    return fail(
        remember(broken(ErrorCode::kInternal, "a statement ended the transaction that it was in")));
  }
  return last;
}

Result<> Connection::flush() {
  for (;;) {
    const int left = PQflush(session_.get());
    if (left == 0) return {};
    if (left < 0) return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
    // Reading too: a server that cannot get rid of its answer takes no more from us.
    const Readiness ready = wait_for_socket(
        PQsocket(session_.get()), {.readable = true, .writable = true}, clock_, deadline_);
    if (!ready.readable && !ready.writable) {
      return fail(
          broken(ErrorCode::kDeadlineExceeded, "PostgreSQL did not take the statement in time"));
    }
    if (ready.readable && PQconsumeInput(session_.get()) == 0) {
      return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
    }
  }
}

/// Waits until PQgetResult() has something to say without blocking.
Result<> Connection::receive() {
  while (PQisBusy(session_.get()) != 0) {
    const Readiness ready =
        wait_for_socket(PQsocket(session_.get()), {.readable = true}, clock_, deadline_);
    if (!ready.readable) {
      return fail(broken(ErrorCode::kDeadlineExceeded, "PostgreSQL did not answer in time"));
    }
    // A failure shows as an error result that says more than we could.
    if (PQconsumeInput(session_.get()) == 0) break;
  }
  return {};
}

Error Connection::broken(ErrorCode code, std::string_view what) {
  is_broken_ = true;
  while (what.ends_with('\n')) what.remove_suffix(1);
  return remember(Error(code, std::string(what)));
}

Error Connection::error_of(const PGresult* result) {
  const std::string_view sqlstate = field(result, PG_DIAG_SQLSTATE);
  const std::string_view severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  std::string_view message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (severity == "FATAL" || severity == "PANIC" || PQstatus(session_.get()) != CONNECTION_OK)
    is_broken_ = true;
  if (sqlstate.empty()) {  // libpq's own: the connection is gone
    message = PQresultErrorMessage(result);
    return broken(ErrorCode::kUnavailable, message);
  }
  // Prepared before somebody changed the table, or gone with the server's memory of it: preparing
  // anew in a new session mends both.
  const bool is_stale =
      (sqlstate == "0A000" && field(result, PG_DIAG_SOURCE_FUNCTION) == "RevalidateCachedQuery") ||
      sqlstate == "26000";
  if (is_stale) has_stale_statement_ = true;
  Error error(code_of_sqlstate(sqlstate), std::format("{} ({})", message, sqlstate));
  if (sqlstate == "25006") return std::move(error).with_reason("read_only");
  if (sqlstate == "55P03") return std::move(error).with_reason("lock_timeout");
  return std::move(error).with_reason(std::string(reason_of(result)));
}

Error Connection::remember(Error error) {
  if (!transaction_error_) transaction_error_ = error;
  return error;
}

Result<> Connection::begin_copy(const std::string& sql) {
  SLUICE_CHECK(!is_copying_);
  if (is_broken_) return fail(broken(ErrorCode::kUnavailable, "the connection was lost"));
  if (PQsendQuery(session_.get(), sql.c_str()) == 0) {
    return fail(broken(ErrorCode::kUnavailable, PQerrorMessage(session_.get())));
  }
  is_copying_ = true;
  auto started = finish_statement();
  if (started && PQresultStatus(started->get()) == PGRES_COPY_IN) return {};
  is_copying_ = false;
  if (!started) return fail(std::move(started).error());
  return fail(broken(ErrorCode::kInternal, "COPY was not taken as such"));
}

Result<> Connection::put_copy_data(std::string_view data) {
  SLUICE_CHECK(is_copying_);
  if (is_broken_) return fail(broken(ErrorCode::kUnavailable, "the connection was lost"));
  const int taken = PQputCopyData(session_.get(), data.data(), static_cast<int>(data.size()));
  if (taken == 1) return flush();
  // The server has refused a row: what it said comes as the result.
  is_copying_ = false;
  auto result = finish_statement();
  if (!result) return fail(std::move(result).error());
  return fail(broken(ErrorCode::kInternal, "the server ended COPY without a reason"));
}

Result<> Connection::end_copy(std::int64_t rows) {
  SLUICE_CHECK(is_copying_);
  is_copying_ = false;
  if (is_broken_) return fail(broken(ErrorCode::kUnavailable, "the connection was lost"));
  // A failure here means that the server has ended COPY by an error, which comes as the result.
  static_cast<void>(PQputCopyEnd(session_.get(), nullptr));
  SLUICE_TRY_ASSIGN(const PgResult result, finish_statement());
  const std::string_view stored = PQcmdTuples(result.get());
  if (stored != std::to_string(rows)) {
    return fail(
        remember(Error(ErrorCode::kDataLoss,
                       std::format("wrote {} rows and PostgreSQL stored {}", rows, stored))));
  }
  return {};
}

void Connection::cancel_copy() {
  if (!is_copying_) return;
  is_copying_ = false;
  remember(Error(ErrorCode::kCancelled, "COPY was dropped before it was finished"));
  if (is_broken_) return;
  static_cast<void>(PQputCopyEnd(session_.get(), "dropped by the program"));
  static_cast<void>(finish_statement());
}

}  // namespace sluice::postgres
