#pragma once

#include "pg_handles.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::postgres {

/// One session. Every call ends by the deadline set before it: when the server has not answered by
/// then the session is broken and of no more use. One thread at a time.
///
/// Made with libpqxx, used through libpq: libpqxx can neither give up waiting for a server that
/// does not answer, nor tell which constraint was violated, nor write COPY in binary.
class Connection {
 public:
  /// `conninfo` is libpq's, `setup` SQL that every session begins with.
  static Result<std::unique_ptr<Connection>> open(const std::string& conninfo,
                                                  const std::string& setup, const Clock& clock,
                                                  MonoTime deadline);

  void set_deadline(MonoTime deadline) { deadline_ = deadline; }
  /// Whether another transaction can be run on it.
  bool is_usable() const;
  /// Asks the server something; fails when it does not answer.
  Result<> check();

  enum class Preparation : std::uint8_t { kOnce, kNever };
  Result<Rows> query(std::string_view text, std::span<const Param> params, Preparation preparation,
                     Answer answer = Answer::kText);
  Result<> run_script(std::string_view text);

  /// What became of a transaction, and whether PostgreSQL said that another attempt may succeed.
  struct Outcome {
    Result<> result;
    bool can_be_repeated = false;
    bool was_dead_at_begin = false;
  };
  /// BEGIN has no more time than `begin_timeout`, since no server that lives takes long for it.
  Outcome run_transaction(const TransactionOptions& options, MonoTime deadline,
                          std::chrono::milliseconds begin_timeout,
                          const std::function<Result<>(Transaction&)>& body);

  // COPY … FROM STDIN. Between begin_copy() and the other two nothing else can be done.
  Result<> begin_copy(const std::string& sql);
  Result<> put_copy_data(std::string_view data);
  /// kDataLoss when the server stored another number of rows.
  Result<> end_copy(std::int64_t rows);
  void cancel_copy();

 private:
  Connection(PgConn session, const Clock& clock, MonoTime deadline)
      : session_(std::move(session)), clock_(clock), deadline_(deadline) {}

  Result<std::string> prepared_name(std::string_view text);
  Result<PgResult> finish_statement();
  Result<> flush();
  Result<> receive();
  Error broken(ErrorCode code, std::string_view what);
  Error error_of(const PGresult* result);
  /// Keeps the transaction's first error, which decides what becomes of it, and hands it on.
  Error remember(Error error);

  PgConn session_;
  const Clock& clock_;
  MonoTime deadline_;
  bool is_broken_ = false;
  bool is_copying_ = false;
  bool is_in_transaction_ = false;
  bool has_stale_statement_ = false;
  std::optional<Error> transaction_error_;
  std::unordered_map<std::string, std::string> prepared_;  // text -> name
};

}  // namespace sluice::postgres
