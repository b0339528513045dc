#pragma once

#include <memory>

#include <libpq-fe.h>

namespace sluice::postgres {

struct ClearPgResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ClearPgResult>;

struct FinishPgConn {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using PgConn = std::unique_ptr<PGconn, FinishPgConn>;

}  // namespace sluice::postgres
