#include <array>
#include <csignal>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sluice/log/logger.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice {
namespace {

/// A pipe whose writing end the sink gets.
struct Pipe {
  explicit Pipe(int flags = 0) { EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC | flags), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void close_reader() { close_end(ends[0]); }
  void close_writer() { close_end(ends[1]); }
  static void close_end(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  /// All that is there, up to the end of the pipe or until it is empty.
  std::string read_all() const {
    std::string out;
    std::array<char, 4096> piece;
    while (true) {
      const ssize_t size = read(ends[0], piece.data(), piece.size());
      if (size <= 0) return out;
      out.append(piece.data(), static_cast<std::size_t>(size));
    }
  }
  std::array<int, 2> ends{-1, -1};
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(FdLogSink, EndsEachLine) {
  Pipe pipe;
  const auto sink = make_fd_log_sink(pipe.ends[1]);
  sink->write("one");
  sink->write("two");
  pipe.close_writer();
  EXPECT_EQ(pipe.read_all(), "one\ntwo\n");
  EXPECT_EQ(sink->dropped(), 0U);
}

TEST(FdLogSink, LinesOfSeveralThreadsAreNeverMixed) {
  // Longer than a pipe takes at once, so that the kernel itself cuts the lines into pieces.
  constexpr std::size_t kLineSize = 10'000;
  constexpr int kLinesEach = 50;
  Pipe pipe;
  const auto sink = make_fd_log_sink(pipe.ends[1]);
  std::string text;
  std::thread reader([&] { text = pipe.read_all(); });
  {
    std::vector<std::jthread> writers;
    for (char name : {'a', 'b', 'c', 'd'}) {
      writers.emplace_back([&sink, name] {
        for (int i = 0; i < kLinesEach; ++i) sink->write(std::string(kLineSize, name));
      });
    }
  }
  pipe.close_writer();
  reader.join();
  std::map<std::string, int> counts;
  for (const std::string& line : lines_of(text)) ++counts[line];
  EXPECT_EQ(counts.size(), 4U);
  for (const auto& [line, count] : counts) {
    EXPECT_EQ(line.size(), kLineSize);
    EXPECT_EQ(count, kLinesEach);
  }
}

TEST(FdLogSink, AFullPipeCostsWholeLinesAndIsCounted) {
  const Pipe pipe(O_NONBLOCK);
  const auto sink = make_fd_log_sink(pipe.ends[1]);
  const std::string line(1000, 'x');
  std::uint64_t written = 0;
  for (; sink->dropped() < 3; ++written) sink->write(line);
  const auto kept = lines_of(pipe.read_all());
  EXPECT_EQ(kept.size(), written - sink->dropped());
  for (const std::string& one : kept) EXPECT_EQ(one, line);
}

TEST(FdLogSink, ALineCutInTheMiddleSpoilsNoOther) {
  const Pipe pipe(O_NONBLOCK);
  const auto sink = make_fd_log_sink(pipe.ends[1]);
  // Larger than the pipe: its head is written, its rest has to be given up.
  sink->write(std::string(1 << 20, 'x'));
  EXPECT_EQ(sink->dropped(), 1U);
  pipe.read_all();
  sink->write("next");
  EXPECT_EQ(pipe.read_all(), "\nnext\n");
}

TEST(FdLogSink, ABrokenPipeIsNotTheEnd) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  const auto sink = make_fd_log_sink(pipe.ends[1]);
  pipe.close_reader();
  sink->write("lost");
  EXPECT_EQ(sink->dropped(), 1U);
}

}  // namespace
}  // namespace sluice
