// The service as a process: command line, probes, token, drain, signals, exit status.

#include "raw_client.h"

#include <csignal>
#include <filesystem>
#include <format>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <sluice/service/run.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/temp_dir.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::service {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::built_program;
using testing::ChildProcess;
using ::testing::ElementsAre;
using testing::eventually;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::run_program;
using testing::TempDir;
using Environment = std::map<std::string, std::string>;
using Status = testing::ExitStatus;

Status exited(int code) { return {.code = code, .signal = std::nullopt}; }

constexpr std::string_view kPlantedSecret = "hunter2-planted";

testing::ProgramResult run_example(std::vector<std::string> arguments,
                                   Environment environment = {}) {
  return run_program({.program = built_program("service-example"),
                      .arguments = std::move(arguments),
                      .environment = std::move(environment),
                      .address_file = false});
}

/// A running service-example.
struct Example {
  explicit Example(Environment environment = {}, std::vector<std::string> arguments = {})
      : process({.program = built_program("service-example"),
                 .arguments = std::move(arguments),
                 .environment = with_free_port(std::move(environment))}) {}

  static Environment with_free_port(Environment environment) {
    environment.emplace("SLUICE_OPS_LISTEN", "127.0.0.1:0");
    environment.emplace("SLUICE_READINESS_PERIOD", "10ms");
    return environment;
  }
  std::string ops() {
    const auto addresses = process.wait_for_addresses();
    EXPECT_TRUE(addresses) << process.output();
    return addresses ? addresses->at("ops") : "";
  }
  bool becomes_ready(const std::string& address) {
    return eventually([&] { return status_of(get(address, "/readyz")) == 200; });
  }
  /// The log so far, each line a JSON object.
  std::vector<json> log() {
    std::vector<json> lines;
    std::istringstream text(process.standard_output());
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }
  /// One field of all lines of an event, in order.
  std::vector<std::string> field(std::string_view event, const std::string& name) {
    std::vector<std::string> out;
    for (const json& line : log()) {
      if (line["event"] == event) out.push_back(line[name].get<std::string>());
    }
    return out;
  }

  ChildProcess process;
};

// The command line.

TEST(ServiceProcess, HelpNamesOptionsSettingsAndExitStatus) {
  const auto result = run_example({"--help"});
  EXPECT_EQ(result.status, exited(kExitOk));
  EXPECT_THAT(result.standard_output, AllOf(HasSubstr("--check-config"), HasSubstr("batch_rows"),
                                            HasSubstr("shutdown_grace"), HasSubstr("Exit status")));
}

TEST(ServiceProcess, VersionIsNameAndNumber) {
  const auto result = run_example({"--version"});
  EXPECT_EQ(result.status, exited(kExitOk));
  EXPECT_THAT(result.standard_output,
              ::testing::MatchesRegex("service-example [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(ServiceProcess, CheckConfigTellsEveryFaultAtOnce) {
  const TempDir dir;
  const auto file = dir.write("config.yaml", "batch_rows: 0\nshutdown_grace: 5\nbatch_row: 1\n");
  const auto result = run_example({"--check-config", "--config", file.string()},
                                  {{"SLUICE_LOG_LEVEL", "loud"}, {"SLUICE_OPS_LISTNE", "x"}});
  EXPECT_EQ(result.status, exited(kExitUsage));
  EXPECT_THAT(result.standard_error,
              AllOf(HasSubstr("5 settings are wrong"), HasSubstr("  batch_rows: "),
                    HasSubstr("line 1 of the file"), HasSubstr("  shutdown_grace: "),
                    HasSubstr("did you mean batch_rows"), HasSubstr("SLUICE_LOG_LEVEL"),
                    HasSubstr("did you mean SLUICE_OPS_LISTEN")));
}

TEST(ServiceProcess, CheckConfigAcceptsGoodSettings) {
  EXPECT_EQ(run_example({"--check-config"}).status, exited(kExitOk));
}

TEST(ServiceProcess, AMissingFileIsWrongUsage) {
  const auto result = run_example({"--config", "/nonexistent/config.yaml"});
  EXPECT_EQ(result.status, exited(kExitUsage));
  EXPECT_THAT(result.standard_error, HasSubstr("/nonexistent/config.yaml"));
}

TEST(ServiceProcess, ServingRefusesWrongSettingsToo) {
  const auto result = run_example({}, {{"SLUICE_BATCH_ROWS", "x"}});
  EXPECT_EQ(result.status, exited(kExitUsage));
  EXPECT_EQ(result.standard_output, "");
}

TEST(ServiceProcess, PrintConfigShowsSourcesAndMasksSecrets) {
  const TempDir dir;
  const auto config = dir.write("config.yaml", "batch_rows: 7\n");
  const auto password = dir.write("password", std::string(kPlantedSecret));
  const auto result = run_example({"--print-config", "--config", config.string()},
                                  {{"SLUICE_PASSWORD_FILE", password.string()}});
  EXPECT_EQ(result.status, exited(kExitOk));
  EXPECT_THAT(result.standard_output,
              AllOf(HasSubstr("batch_rows: 7  # from file"),
                    HasSubstr("log_level: \"info\"  # from default"),
                    HasSubstr("password_file: \"******\"  # from SLUICE_PASSWORD_FILE"),
                    Not(HasSubstr(kPlantedSecret))));
}

TEST(ServiceProcess, PrintsSettingsSchemaAndTableForTools) {
  const auto list = json::parse(run_example({"--print-settings"}).standard_output);
  EXPECT_EQ(list[0]["name"], "log_level");
  const auto schema = json::parse(run_example({"--print-schema"}).standard_output);
  EXPECT_EQ(schema["properties"]["batch_rows"]["maximum"], 1000);
  EXPECT_THAT(run_example({"--print-markdown"}).standard_output, HasSubstr("| `batch_rows` |"));
}

// Probes and the ops port.

TEST(ServiceProcess, WritesItsAddressesAndServesProbes) {
  Example example;
  const auto addresses = example.process.wait_for_addresses();
  ASSERT_TRUE(addresses) << example.process.output();
  EXPECT_EQ(addresses->at("http"), "127.0.0.1:1");
  const std::string ops = addresses->at("ops");
  EXPECT_EQ(status_of(get(ops, "/livez")), 200);
  EXPECT_EQ(status_of(get(ops, "/startupz")), 200);
  EXPECT_TRUE(example.becomes_ready(ops)) << example.process.output();
}

TEST(ServiceProcess, ReadinessFollowsItsChecksAndLivenessDoesNot) {
  const TempDir dir;
  Example example({{"SLUICE_READY_FILE", (dir.path() / "ready").string()}});
  const std::string ops = example.ops();
  ASSERT_TRUE(eventually([&] { return get(ops, "/readyz").contains("the file is missing"); }));
  const std::string answer = get(ops, "/readyz");
  EXPECT_EQ(status_of(answer), 503);
  const auto body = json::parse(body_of(answer));
  EXPECT_EQ(body["ready"], false);
  EXPECT_EQ(body["checks"][0]["name"], "file");
  EXPECT_EQ(status_of(get(ops, "/livez")), 200);
  EXPECT_EQ(status_of(get(ops, "/startupz")), 200);
  dir.write("ready", "");
  EXPECT_TRUE(example.becomes_ready(ops));
}

TEST(ServiceProcess, TellsMetricsOfItselfAndOfItsBody) {
  Example example;
  const std::string ops = example.ops();
  ASSERT_TRUE(example.becomes_ready(ops));
  EXPECT_THAT(get(ops, "/metrics"),
              AllOf(HasSubstr("process_resident_memory_bytes "),
                    HasSubstr("sluice_example_rows 100"), HasSubstr("sluice_service_ready 1"),
                    HasSubstr("sluice_build_info{service=\"service-example\"")));
}

TEST(ServiceProcess, ConfigIsShownWithoutSecrets) {
  const TempDir dir;
  const auto password = dir.write("password", std::string(kPlantedSecret));
  const auto token = dir.write("token", std::string(kPlantedSecret) + "-token\n");
  Example example(
      {{"SLUICE_PASSWORD_FILE", password.string()}, {"SLUICE_OPS_TOKEN_FILE", token.string()}});
  const std::string ops = example.ops();
  const std::string answer =
      get(ops, "/config", std::format("Authorization: Bearer {}-token\r\n", kPlantedSecret));
  EXPECT_EQ(status_of(answer), 200);
  const auto config = json::parse(body_of(answer));
  EXPECT_EQ(config["password_file"]["value"], "******");
  EXPECT_EQ(config["batch_rows"]["value"], 100);
  EXPECT_THAT(answer, Not(HasSubstr(kPlantedSecret)));
  example.process.stop();
  EXPECT_THAT(example.process.output(), Not(HasSubstr(kPlantedSecret)));
}

TEST(ServiceProcess, TheTokenGuardsMetricsConfigAndDrain) {
  const TempDir dir;
  const auto token = dir.write("token", "right-token\n");
  Example example({{"SLUICE_OPS_TOKEN_FILE", token.string()}});
  const std::string ops = example.ops();
  EXPECT_EQ(status_of(get(ops, "/metrics")), 401);
  EXPECT_EQ(status_of(get(ops, "/config", "Authorization: Bearer wrong\r\n")), 401);
  EXPECT_EQ(status_of(post(ops, "/drain")), 401);
  EXPECT_EQ(status_of(get(ops, "/livez")), 200);
  EXPECT_TRUE(example.becomes_ready(ops));
  EXPECT_EQ(status_of(get(ops, "/metrics", "Authorization: Bearer right-token\r\n")), 200);
}

TEST(ServiceProcess, APortThatIsTakenIsAFailureThatSaysSo) {
  Example first;
  const std::string ops = first.ops();
  Example second({{"SLUICE_OPS_LISTEN", ops}});
  EXPECT_EQ(second.process.wait(), exited(kExitFailed));
  EXPECT_THAT(second.process.standard_output(), AllOf(HasSubstr("service_failed"), HasSubstr(ops)));
}

TEST(ServiceProcess, AnAddressFileThatCannotBeWrittenIsAFailure) {
  const auto result = run_example({}, {{"SLUICE_OPS_LISTEN", "127.0.0.1:0"},
                                       {"SLUICE_ADDRESS_FILE", "/nonexistent/addresses"}});
  EXPECT_EQ(result.status, exited(kExitFailed));
  EXPECT_THAT(result.standard_output, HasSubstr("address_file"));
}

// The end.

TEST(ServiceProcess, EndsInOrderOnSigterm) {
  Example example;
  ASSERT_TRUE(example.becomes_ready(example.ops()));
  example.process.signal(SIGTERM);
  EXPECT_EQ(example.process.wait(), exited(kExitOk)) << example.process.output();
  EXPECT_THAT(example.field("service_state", "state"),
              ElementsAre("serving", "draining", "drained", "stopping", "stopped"));
  EXPECT_THAT(example.field("hook_called", "hook"), ElementsAre("first", "second"));
  EXPECT_THAT(example.field("part_stopped", "part"), ElementsAre("second", "first"));
  EXPECT_EQ(example.log().back()["event"], "service_ended");
}

TEST(ServiceProcess, EndsOnSigintToo) {
  Example example;
  example.ops();
  example.process.signal(SIGINT);
  EXPECT_EQ(example.process.wait(), exited(kExitOk));
}

TEST(ServiceProcess, IsNotReadyDuringTheDrainDelayAndStillServesProbes) {
  Example example({{"SLUICE_DRAIN_DELAY", "5m"}});
  const std::string ops = example.ops();
  ASSERT_TRUE(example.becomes_ready(ops));
  example.process.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return status_of(get(ops, "/readyz")) == 503; }));
  EXPECT_THAT(get(ops, "/readyz"), HasSubstr("\"state\":\"draining\""));
  EXPECT_EQ(status_of(get(ops, "/livez")), 200);
  EXPECT_THAT(example.field("hook_called", "hook"), ElementsAre());
}

TEST(ServiceProcess, DrainLeavesTheProcessUpUntilItIsToldToEnd) {
  Example example;
  const std::string ops = example.ops();
  ASSERT_TRUE(example.becomes_ready(ops));
  EXPECT_EQ(status_of(post(ops, "/drain")), 202);
  EXPECT_EQ(status_of(get(ops, "/readyz")), 503);  // from the answer on
  EXPECT_TRUE(eventually([&] { return get(ops, "/readyz").contains("\"state\":\"drained\""); }));
  // What the process has written is not at once what the test has read.
  ASSERT_TRUE(example.process.wait_for_output("\"drained\""));
  EXPECT_EQ(status_of(post(ops, "/drain")), 202);  // again is fine
  EXPECT_THAT(example.field("hook_called", "hook"), ElementsAre("first", "second"));
  EXPECT_THAT(example.field("part_stopped", "part"), ElementsAre());
  EXPECT_TRUE(example.process.is_running());
  example.process.signal(SIGTERM);
  EXPECT_EQ(example.process.wait(), exited(kExitOk)) << example.process.output();
  EXPECT_THAT(example.field("hook_called", "hook"), ElementsAre("first", "second"));
}

TEST(ServiceProcess, AComponentThatDoesNotEndIsEndedAfterTheGrace) {
  // Long enough for a busy machine to come as far as the component, whose name the last line has.
  Example example({{"SLUICE_BEHAVIOUR", "hang_stop"}, {"SLUICE_SHUTDOWN_GRACE", "2s"}});
  example.ops();
  example.process.signal(SIGTERM);
  EXPECT_EQ(example.process.wait(), exited(kExitGraceExceeded)) << example.process.output();
  const json last = example.log().back();
  EXPECT_EQ(last["event"], "shutdown_grace_exceeded");
  EXPECT_THAT(last["component"].get<std::string>(), HasSubstr("Hanging"));
}

TEST(ServiceProcess, ASecondSignalEndsAtOnce) {
  Example example({{"SLUICE_BEHAVIOUR", "hang_stop"}, {"SLUICE_SHUTDOWN_GRACE", "1h"}});
  example.ops();
  example.process.signal(SIGTERM);
  ASSERT_TRUE(example.process.wait_for_output("\"stopping\""));
  example.process.signal(SIGINT);
  EXPECT_EQ(example.process.wait(), exited(128 + SIGINT)) << example.process.output();
}

/// An example whose standard output nobody reads, and which is full.
class StalledLog {
 public:
  explicit StalledLog(const std::string& grace) {
    const std::string path = (folder_.path() / "log").string();
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    fd_ = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
    process_.emplace(ChildProcess::Options{
        .program = "/bin/sh",
        .arguments = {"-c", "exec \"$0\" > \"$1\"", built_program("service-example").string(),
                      path},
        .environment = Example::with_free_port({{"SLUICE_SHUTDOWN_GRACE", grace}})});
    EXPECT_TRUE(process_->wait_for_addresses()) << process_->output();
    const std::string block(4096, 'x');
    while (write(fd_, block.data(), block.size()) > 0) {
    }
    while (write(fd_, "x", 1) > 0) {
    }
  }
  ~StalledLog() {
    process_.reset();
    close(fd_);
  }
  StalledLog(const StalledLog&) = delete;
  StalledLog& operator=(const StalledLog&) = delete;

  ChildProcess& process() { return *process_; }

 private:
  TempDir folder_;
  int fd_ = -1;
  std::optional<ChildProcess> process_;
};

TEST(ServiceProcess, TheGraceHoldsWhenNobodyReadsTheLog) {
  StalledLog example("100ms");
  example.process().signal(SIGTERM);
  EXPECT_EQ(example.process().wait(), exited(kExitGraceExceeded));
}

TEST(ServiceProcess, ASecondSignalEndsWhenNobodyReadsTheLog) {
  StalledLog example("1h");
  example.process().signal(SIGINT);  // which the kernel delivers first, should both wait
  example.process().signal(SIGTERM);
  EXPECT_EQ(example.process().wait(), exited(128 + SIGTERM));
}

TEST(ServiceProcess, ABodyThatReturnsEndsTheProcess) {
  EXPECT_EQ(Example({{"SLUICE_BEHAVIOUR", "return"}}).process.wait(), exited(kExitOk));
  EXPECT_EQ(Example({{"SLUICE_BEHAVIOUR", "stop"}}).process.wait(), exited(kExitOk));
}

TEST(ServiceProcess, FailuresOfEveryKindEndWithStatus1AndTheirReason) {
  for (const char* behaviour : {"fail_start", "throw", "fail_later", "ignore_failure"}) {
    Example example({{"SLUICE_BEHAVIOUR", behaviour}});
    EXPECT_EQ(example.process.wait(), exited(kExitFailed)) << behaviour;
    const json last = example.log().back();
    EXPECT_EQ(last["event"], "service_failed") << behaviour;
    EXPECT_THAT(last["error"].get<std::string>(), HasSubstr("planted")) << behaviour;
  }
}

TEST(ServiceProcess, ASignalDuringALongStartIsSeenByTheBody) {
  Example example({{"SLUICE_BEHAVIOUR", "slow_start"}, {"SLUICE_DRAIN_DELAY", "5m"}});
  ASSERT_TRUE(example.process.wait_for_output("starting_slowly"));
  example.process.signal(SIGTERM);
  // Nobody was sent here yet, so that there is no delay to wait for.
  EXPECT_EQ(example.process.wait(), exited(kExitOk)) << example.process.output();
}

}  // namespace
}  // namespace sluice::service
