#include "process_usage.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::load {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A procfs of our own making.
class FakeProc : public ::testing::Test {
 protected:
  FakeProc() : root_(fs::temp_directory_path() / ("load-proc-" + std::to_string(getpid()))) {
    fs::create_directories(root_ / "self");
  }
  ~FakeProc() override { fs::remove_all(root_); }

  void add(int pid, int parent, int user_ticks, int system_ticks, const std::string& smaps,
           const std::string& status = "") {
    const fs::path folder = root_ / std::to_string(pid);
    fs::create_directories(folder);
    std::ofstream(folder / "stat")
        << pid << " (a (b) c) S " << parent << " 1 1 0 -1 4194560 1 2 3 4 " << user_ticks << ' '
        << system_ticks << " 99 99 20 0 1\n";
    if (!smaps.empty()) std::ofstream(folder / "smaps_rollup") << smaps;
    std::ofstream(folder / "status") << status;
  }

  Result<ProcessUsage> usage(const std::vector<int>& pids) const {
    return ProcessUsage::of(pids, root_);
  }

 private:
  fs::path root_;
};

TEST_F(FakeProc, SumsProcessesAndTheirDescendants) {
  add(10, 1, 100, 50, "0-1 rollup\nRss:  1000 kB\nPss: 5 kB\n");
  add(11, 10, 20, 0, "0-1 rollup\nRss:  10 kB\n");
  add(5, 11, 0, 30, "0-1 rollup\nRss:  1 kB\n");
  add(12, 1, 1'000, 1'000, "0-1 rollup\nRss:  7 kB\n");
  add(13, 1, 7, 0, "", "Name: x\nVmRSS:\t 3 kB\n");
  const auto one = usage({10});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->cpu, 2s);
  EXPECT_EQ(one->rss_bytes, 1'011U * 1024);
  const auto two = usage({10, 13, 11});
  ASSERT_TRUE(two);
  EXPECT_EQ(two->cpu, 2'070ms);
  EXPECT_EQ(two->rss_bytes, 1'014U * 1024);
}

TEST_F(FakeProc, FailsWhenAProcessIsGone) {
  add(10, 1, 100, 50, "");
  EXPECT_FALSE(usage({10, 99}));
  EXPECT_TRUE(usage({}));
}

TEST(ProcessUsage, OfOurselvesIsSomething) {
  const std::vector<int> self{getpid()};
  const auto usage = ProcessUsage::of(self);
  ASSERT_TRUE(usage);
  EXPECT_GT(usage->rss_bytes, 100'000U);
}

}  // namespace

}  // namespace sluice::load
