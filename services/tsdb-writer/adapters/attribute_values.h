#pragma once

#include "core/attributes/attribute_limits.h"

#include <map>
#include <set>

#include <sluice/base/result.h>
#include <sluice/postgres/transaction.h>

namespace sluice::tsdb {

/// Makes those of the values known that the tables do not know yet, as far as the limits allow;
/// gives those that they do not. In a transaction of all tenants.
Result<std::map<AttributeValue, AttributeRefusal>> learn_values(
    postgres::Transaction& tx, const std::set<AttributeValue>& values,
    const AttributeLimits& limits);

}  // namespace sluice::tsdb
