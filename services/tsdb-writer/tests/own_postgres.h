#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sluice/postgres/config.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/temp_dir.h>

namespace sluice::tsdb::testing {

/// A PostgreSQL of the test's own, which it may kill. Runs when made. What it told to be committed
/// is in the kernel's hands, so it outlives the server's death, if not the machine's (fsync is
/// off).
class OwnPostgres {
 public:
  /// With TimescaleDB where it is asked for and installed; see has_timescaledb().
  explicit OwnPostgres(bool with_timescaledb = false);
  bool has_timescaledb() const { return has_timescaledb_; }
  /// On the same data; returns when it takes connections.
  void start();
  /// SIGKILL of the postmaster, whose other processes then end by themselves, saving nothing.
  void kill();
  /// Listens in a folder of its own: no other program can take its place while it is dead.
  postgres::Config config() const;

 private:
  sluice::testing::ChildProcess::Options command(const std::string& program,
                                                 std::vector<std::string> arguments) const;

  const bool has_timescaledb_;
  sluice::testing::TempDir folder_;
  std::unique_ptr<sluice::testing::ChildProcess> process_;
};

}  // namespace sluice::tsdb::testing
