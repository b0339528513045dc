#pragma once

namespace sluice::tsdb::testing {

/// User and system time of a process of this machine, in seconds; 0 when it is gone. What a loaded
/// machine leaves of the clock says little: benchmarks tell this beside it.
double cpu_seconds(int pid);

}  // namespace sluice::tsdb::testing
