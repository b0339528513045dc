#pragma once

#include <cstdint>

namespace sluice::testing {

/// A TCP port of loopback that was free a moment ago: for a server that cannot be asked to choose
/// one, or must keep it over a restart. Throws where there is none.
std::uint16_t free_port();

}  // namespace sluice::testing
