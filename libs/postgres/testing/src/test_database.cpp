#include <sluice/postgres/testing/test_database.h>

#include <chrono>
#include <cstdlib>
#include <format>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>

#include <libpq-fe.h>

namespace sluice::postgres::testing {
namespace {

using sluice::testing::require_env;
using sluice::testing::unique_name;

using Session = std::unique_ptr<PGconn, void (*)(PGconn*)>;
using Answer = std::unique_ptr<PGresult, void (*)(PGresult*)>;

/// As the URL says, or to another database of the same server.
Session connect(const std::string& url, const std::string& database = "") {
  const char* names[] = {"dbname", database.empty() ? nullptr : "dbname", nullptr};
  const char* values[] = {url.c_str(), database.c_str(), nullptr};
  const int expand_first = 1;
  Session session(PQconnectdbParams(names, values, expand_first), &PQfinish);
  if (PQstatus(session.get()) != CONNECTION_OK) {
    throw std::runtime_error(
        std::format("cannot reach the PostgreSQL of SLUICE_TEST_POSTGRES_URL: {}",
                    PQerrorMessage(session.get())));
  }
  PQsetNoticeProcessor(session.get(), [](void*, const char*) {}, nullptr);
  return session;
}

Answer run(PGconn* session, const std::string& sql) {
  Answer answer(PQexec(session, sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(answer.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(std::format("{}in: {}", PQerrorMessage(session), sql));
  }
  return answer;
}

struct Server {
  std::string host;
  std::string port;
  std::string user;
  std::string password;
};

Server parse(const std::string& url) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      PQconninfoParse(url.c_str(), nullptr), &PQconninfoFree);
  if (!options)
    throw std::runtime_error("SLUICE_TEST_POSTGRES_URL is not a URL that PostgreSQL knows");
  Server server{.host = "127.0.0.1", .port = "5432", .user = "", .password = ""};
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string keyword = option->keyword;
    if (keyword == "host") server.host = option->val;
    if (keyword == "port") server.port = option->val;
    if (keyword == "user") server.user = option->val;
    if (keyword == "password") server.password = option->val;
  }
  return server;
}

}  // namespace

TestDatabase::TestDatabase()
    : name_(unique_name("sluice_test")),
      role_(name_ + "_role"),
      admin_url_(require_env("SLUICE_TEST_POSTGRES_URL")) {
  const Server server = parse(admin_url_);
  password_ = server.password;
  url_ = std::format("postgresql://{}@{}:{}/{}", server.user, server.host, server.port, name_);
  role_url_ = std::format("postgresql://{}@{}:{}/{}", role_, server.host, server.port, name_);
  const Session session = connect(admin_url_);
  run(session.get(), "CREATE DATABASE " + name_);
  try {
    // The password of the superuser serves for both: who has the one has nothing to gain by the
    // other.
    const std::unique_ptr<char, void (*)(void*)> quoted(
        PQescapeLiteral(session.get(), password_.data(), password_.size()), &PQfreemem);
    run(session.get(), std::format("CREATE ROLE {} LOGIN PASSWORD {}", role_, quoted.get()));
    run(session.get(), std::format("GRANT CONNECT ON DATABASE {} TO {}", name_, role_));
  } catch (...) {
    run(session.get(), std::format("DROP DATABASE {} WITH (FORCE)", name_));
    throw;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
  if (std::getenv("SLUICE_TEST_TIMESCALEDB") != nullptr) execute("CREATE EXTENSION timescaledb");
}

TestDatabase::~TestDatabase() {
  try {
    const Session session = connect(admin_url_);
    run(session.get(), std::format("DROP DATABASE {} WITH (FORCE)", name_));
    run(session.get(), std::format("DROP ROLE {}", role_));
  } catch (const std::exception&) {
    // A server that the test has stopped takes the database with it.
  }
}

Config TestDatabase::config() const {
  using namespace std::chrono_literals;
  Config config;
  config.url = url_;
  config.password = Secret(password_);
  config.pool_size = 4;
  // Generous, since nothing in a test that passes takes as long.
  config.connect_timeout = 10s;
  config.statement_timeout = 30s;
  config.lock_timeout = 20s;
  config.idle_in_transaction_timeout = 60s;
  config.tls_mode = "disable";
  return config;
}

Config TestDatabase::config_of_ordinary_role() const {
  Config config = this->config();
  config.url = role_url_;
  return config;
}

void TestDatabase::execute(const std::string& sql) const { query_value(sql); }

std::string TestDatabase::query_value(const std::string& sql) const {
  const Session session = connect(admin_url_, name_);
  const Answer answer = run(session.get(), sql);
  return PQntuples(answer.get()) > 0 ? PQgetvalue(answer.get(), 0, 0) : "";
}

int TestDatabase::terminate_backends() const {
  return std::stoi(
      query_value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                  "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type "
                  "= 'client backend'"));
}

void TestDatabase::dump(const std::filesystem::path& file) const {
  run_client("pg_dump", {"--clean", "--if-exists", "--file", file.string()});
}

void TestDatabase::restore(const std::filesystem::path& file) const {
  terminate_backends();
  run_client("psql", {"--quiet", "--no-psqlrc", "--single-transaction", "--set", "ON_ERROR_STOP=1",
                      "--file", file.string()});
  terminate_backends();  // who has come back meanwhile and saw what was before
}

void TestDatabase::run_client(const std::string& program,
                              std::vector<std::string> arguments) const {
  arguments.push_back("--dbname=" + url_);
  const auto result = sluice::testing::run_program({.program = "/usr/bin/" + program,
                                                    .arguments = std::move(arguments),
                                                    .environment = {{"PGPASSWORD", password_}},
                                                    .address_file = false});
  if (result.status.code != 0) {
    throw std::runtime_error(std::format("{}: {}", program, result.standard_error));
  }
}

}  // namespace sluice::postgres::testing
