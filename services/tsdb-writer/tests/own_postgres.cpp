#include "own_postgres.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <format>
#include <stdexcept>

#include <sluice/testing/eventually.h>

#include <pwd.h>
#include <unistd.h>

namespace sluice::tsdb::testing {

using namespace std::chrono_literals;
using sluice::testing::ChildProcess;

namespace {

constexpr const char* kPrograms = "/usr/lib/postgresql/17/bin/";
constexpr const char* kTimescaledb = "/usr/lib/postgresql/17/lib/timescaledb.so";
constexpr const char* kOwner = "sluice_owner";

}  // namespace

OwnPostgres::OwnPostgres(bool with_timescaledb)
    : has_timescaledb_(with_timescaledb && std::filesystem::exists(kTimescaledb)) {
  if (::geteuid() == 0) {
    const passwd* account = ::getpwnam("postgres");
    if (account == nullptr ||
        ::chown(folder_.path().c_str(), account->pw_uid, account->pw_gid) != 0) {
      throw std::runtime_error("cannot give a folder to the user postgres");
    }
  }
  const auto made = sluice::testing::run_program(
      command("initdb", {"--pgdata", (folder_.path() / "data").string(), "--username", kOwner,
                         "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8",
                         "--no-sync", "--no-instructions"}),
      120s);
  if (made.status.code != 0) throw std::runtime_error("initdb: " + made.standard_error);
  start();
}

/// PostgreSQL refuses to run as root, so root becomes the user that Debian's package made.
ChildProcess::Options OwnPostgres::command(const std::string& program,
                                           std::vector<std::string> arguments) const {
  ChildProcess::Options options{.program = kPrograms + program, .address_file = false};
  if (::geteuid() == 0) {
    // What makes a child die with the test is lost by a change of user.
    options.arguments = {"--reuid",        "postgres",    "--regid", "postgres",
                         "--clear-groups", "--pdeathsig", "KILL",    options.program.string()};
    options.program = "/usr/bin/setpriv";
  }
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  return options;
}

void OwnPostgres::start() {
  // It refuses while processes of the killed one are still on their way out.
  const bool is_up = sluice::testing::eventually([&] {
    process_ = std::make_unique<ChildProcess>(command(
        "postgres",
        {"-D", (folder_.path() / "data").string(), "-c", "listen_addresses=", "-c",
         "unix_socket_directories=" + folder_.path().string(), "-c", "fsync=off", "-c",
         "max_connections=50", "-c", "timezone=UTC", "-c",
         has_timescaledb_ ? "shared_preload_libraries=timescaledb" : "shared_preload_libraries="}));
    return process_->wait_for_output("is ready to accept connections");
  });
  if (!is_up) throw std::runtime_error("postgres: " + process_->output());
}

void OwnPostgres::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

postgres::Config OwnPostgres::config() const {
  postgres::Config config;
  config.url = std::format("postgresql://{}@/postgres?host={}", kOwner, folder_.path().string());
  config.pool_size = 4;
  config.connect_timeout = 10s;
  config.statement_timeout = 30s;
  config.lock_timeout = 20s;
  config.idle_in_transaction_timeout = 60s;
  config.tls_mode = "disable";
  return config;
}

}  // namespace sluice::tsdb::testing
