#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/postgres/config.h>

namespace sluice::postgres::testing {

/// A database of a test's own on the server of SLUICE_TEST_POSTGRES_URL, dropped (with whatever is
/// still connected to it) when this ends. Throws when the variable is missing or the server does
/// not answer. With SLUICE_TEST_TIMESCALEDB set, whatever to, TimescaleDB is its extension, so that
/// the same tests can be run on both.
class TestDatabase {
 public:
  TestDatabase();
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  /// For a Pool; as superuser, whom row security does not bind.
  Config config() const;
  /// As a role of the test's own without any privilege but CONNECT, and what was granted to it
  /// since: for proving row security. The role is dropped with the database.
  Config config_of_ordinary_role() const;
  const std::string& ordinary_role() const { return role_; }

  /// For the environment of a service under test: SLUICE_POSTGRES_URL and a file with the password.
  const std::string& url_without_password() const { return url_; }
  const std::string& password() const { return password_; }
  const std::string& name() const { return name_; }

  /// Runs SQL in this database over a connection of its own; throws PostgreSQL's message on
  /// failure.
  void execute(const std::string& sql) const;
  /// The first column of the first row, as text; "" for NULL or no row.
  std::string query_value(const std::string& sql) const;
  /// Kills every other backend of this database, as a restart or failover does. Gives their number.
  int terminate_backends() const;

  /// What pg_dump makes of it, and back to that: whoever is connected is cut off, as by a server
  /// whose backup is played in. Both throw what the program says on failure.
  void dump(const std::filesystem::path& file) const;
  void restore(const std::filesystem::path& file) const;

 private:
  void run_client(const std::string& program, std::vector<std::string> arguments) const;

  std::string name_;
  std::string role_;
  std::string url_;
  std::string role_url_;
  std::string password_;
  std::string admin_url_;
};

}  // namespace sluice::postgres::testing
