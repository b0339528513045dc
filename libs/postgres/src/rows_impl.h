#pragma once

#include "pg_handles.h"

#include <sluice/postgres/rows.h>

namespace sluice::postgres {

struct Rows::Impl {
  PgResult result;
};

}  // namespace sluice::postgres
