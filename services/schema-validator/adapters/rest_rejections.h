#pragma once

#include "adapters/rest_api.h"

namespace sluice::validator {

/// /v1/rejections, /v1/rejection-groups and /v1/redrives.
void add_rejections(http::Router& router, const RestParts& parts);

}  // namespace sluice::validator
