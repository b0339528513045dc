#include "listen_drops.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::load {

namespace {

std::optional<std::uint64_t> read_from(const std::string& text) {
  const auto path =
      std::filesystem::temp_directory_path() / ("load-netstat-" + std::to_string(getpid()));
  std::ofstream(path) << text;
  const auto drops = listen_drops(path);
  std::filesystem::remove(path);
  return drops;
}

TEST(ListenDrops, AreFoundByTheirName) {
  EXPECT_EQ(read_from("TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\n"
                      "TcpExt: 1 23 45 6\n"
                      "IpExt: InNoRoutes ListenDrops\n"
                      "IpExt: 7 8\n"),
            45U);
  EXPECT_EQ(read_from("IpExt: ListenDrops\nIpExt: 8\nTcpExt: ListenDrops\nTcpExt: 0\n"), 0U);
}

TEST(ListenDrops, AreUnknownWhereTheKernelDoesNotTell) {
  EXPECT_FALSE(listen_drops("/nowhere"));
  EXPECT_FALSE(read_from(""));
  EXPECT_FALSE(read_from("TcpExt: ListenOverflows\nTcpExt: 1\n"));
  EXPECT_FALSE(read_from("TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n"));
}

}  // namespace

}  // namespace sluice::load
