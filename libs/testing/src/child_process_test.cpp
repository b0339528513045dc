#include <sluice/testing/child_process.h>

#include <csignal>
#include <cstdlib>
#include <format>
#include <fstream>
#include <string>
#include <system_error>

#include <sluice/testing/eventually.h>
#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

ChildProcess::Options shell(std::string script,
                            std::map<std::string, std::string> environment = {}) {
  return {.program = "/bin/sh",
          .arguments = {"-c", std::move(script)},
          .environment = std::move(environment)};
}

TEST(ChildProcess, TellsHowTheProgramEnded) {
  EXPECT_EQ(run_program(shell("exit 0")).status, ExitStatus{.code = 0});
  EXPECT_EQ(run_program(shell("exit 7")).status, ExitStatus{.code = 7});
  EXPECT_EQ(run_program(shell("kill -USR1 $$")).status, ExitStatus{.signal = SIGUSR1});
}

TEST(ChildProcess, KeepsBothOutputsApartAndWhole) {
  const auto result = run_program(
      shell("i=0; while [ $i -lt 20000 ]; do echo out; i=$((i+1)); done; echo err >&2"));
  EXPECT_EQ(result.standard_output.size(), 20'000U * 4);
  EXPECT_EQ(result.standard_error, "err\n");
}

TEST(ChildProcess, KeepsTheEndOfTooMuchOutput) {
  const auto result = run_program(shell("head -c 6000000 /dev/zero; echo the end"));
  EXPECT_LE(result.standard_output.size(), ChildProcess::kMaxOutputSize);
  EXPECT_TRUE(result.standard_output.ends_with("the end\n"));
}

TEST(ChildProcess, ThrowsWhenTheProgramCannotBeStarted) {
  EXPECT_THROW(ChildProcess({.program = "/no/such/program"}), std::system_error);
}

TEST(ChildProcess, AddsToTheEnvironmentAndWinsOverIt) {
  ASSERT_EQ(::setenv("SLUICE_TEST_OF_CHILD", "inherited", 1), 0);
  const std::string script = "echo $SLUICE_TEST_OF_CHILD $SLUICE_TEST_ADDED";
  EXPECT_EQ(run_program(shell(script)).standard_output, "inherited\n");
  EXPECT_EQ(
      run_program(shell(script, {{"SLUICE_TEST_OF_CHILD", "own"}, {"SLUICE_TEST_ADDED", "a=b"}}))
          .standard_output,
      "own a=b\n");
}

TEST(ChildProcess, StandsStillOnceItIsFrozen) {
  ChildProcess busy(shell("while :; do :; done"));
  const auto state = [&] {
    std::string name, pid, value;
    std::ifstream(std::format("/proc/{}/stat", busy.pid())) >> pid >> name >> value;
    return value;
  };
  busy.freeze();
  EXPECT_EQ(state(), "T");
  busy.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return state() != "T"; }));
}

TEST(ChildProcess, GivesTheProgramNoneOfOurFiles) {
  constexpr int kOurs = 200;                       // far from what a shell opens for itself
  ASSERT_EQ(::dup2(STDERR_FILENO, kOurs), kOurs);  // without O_CLOEXEC, as a library might
  const auto result =
      run_program(shell("[ -e /proc/$$/fd/2 ] || exit 2; [ ! -e /proc/$$/fd/200 ]"));
  ::close(kOurs);
  EXPECT_EQ(result.status, ExitStatus{.code = 0});
}

TEST(ChildProcess, WaitsForOutputUntilItComesOrTheProgramEnds) {
  ChildProcess process(shell("echo ready; read forever < /dev/null; exec sleep 600"));
  EXPECT_TRUE(process.wait_for_output("ready"));
  EXPECT_TRUE(process.is_running());
  EXPECT_EQ(process.wait(1ms), std::nullopt);
  process.signal(SIGKILL);
  EXPECT_FALSE(process.wait_for_output("never")) << "does not take its whole deadline";
  EXPECT_EQ(process.wait(), ExitStatus{.signal = SIGKILL});
  EXPECT_FALSE(process.is_running());
  process.signal(SIGTERM);  // nothing happens
}

TEST(ChildProcess, StopKillsWhatDoesNotHeedSigterm) {
  ChildProcess heeds(shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(heeds.wait_for_output("ready"));
  EXPECT_EQ(heeds.stop(), ExitStatus{.code = 3});
  ChildProcess does_not(shell("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  ASSERT_TRUE(does_not.wait_for_output("ready"));
  EXPECT_EQ(does_not.stop(20ms), ExitStatus{.signal = SIGKILL});
}

TEST(ChildProcess, EndsWithTheObjectTogetherWithItsOwnChildren) {
  int pid = 0;
  int grandchild = 0;
  {
    ChildProcess process(shell("sleep 600 & echo $!; wait"));
    ASSERT_TRUE(process.wait_for_output("\n"));
    pid = process.pid();
    grandchild = std::stoi(process.standard_output());
  }
  EXPECT_NE(::kill(pid, 0), 0);
  // It was killed, but a busy machine may not have run it to its end yet, and nobody may have
  // reaped it: a zombie is dead enough.
  const std::string status_file = std::format("/proc/{}/stat", grandchild);
  EXPECT_TRUE(eventually([&] {
    return !std::filesystem::exists(status_file) || read_file(status_file).contains(") Z");
  }));
}

TEST(ChildProcess, ReadsTheAddressFile) {
  ChildProcess process(shell(
      "echo '{\"ops\":\"127.0.0.1:1\"}' > $SLUICE_ADDRESS_FILE.new; mv $SLUICE_ADDRESS_FILE.new "
      "$SLUICE_ADDRESS_FILE; exec sleep 600"));
  const auto addresses = process.wait_for_addresses();
  ASSERT_TRUE(addresses) << addresses.error().message();
  EXPECT_EQ(*addresses, (std::map<std::string, std::string>{{"ops", "127.0.0.1:1"}}));
}

TEST(ChildProcess, SaysWhyThereAreNoAddresses) {
  ChildProcess dies(shell("echo no such setting >&2; exit 1"));
  const auto addresses = dies.wait_for_addresses();
  ASSERT_FALSE(addresses);
  EXPECT_EQ(addresses.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(addresses.error().message().contains("no such setting"));
  ChildProcess idles(shell("exec sleep 600"));
  EXPECT_EQ(idles.wait_for_addresses(10ms).error().code(), ErrorCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace sluice::testing
