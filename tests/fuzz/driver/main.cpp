// What libFuzzer is where it is missing: runs inputs, all their beginnings, and then mutations of
// them for as long as it was told. It does not see which code they reach.
//
//   program [-max_total_time=S] [-runs=N] [-max_len=N] [-seed=N] [-artifact_prefix=P]
//   [FILE|FOLDER]...
//
// A file alone is run once. Before an input runs it is written to P + "current", mapped memory that
// outlives whatever the input does to this process; a run that ends well removes it.

#include "../fuzz.h"
#include "mutation.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sluice/base/clock.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

extern "C" [[gnu::weak]] std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                                             std::size_t max_size, unsigned seed);

namespace sluice::fuzz {
namespace {

struct Arguments {
  std::uint64_t max_total_time = 0;  // seconds; 0: no mutations unless -runs says how many
  std::uint64_t runs = 0;            // 0: as the time allows
  std::uint64_t max_len = 4096;
  std::uint64_t seed = 1;
  std::string artifact_prefix{};
  std::vector<std::filesystem::path> paths{};
};

Arguments parse(std::span<char* const> words) {
  Arguments arguments;
  for (const std::string_view word : words) {
    const auto equals = word.find('=');
    if (!word.starts_with('-')) {
      arguments.paths.emplace_back(word);
      continue;
    }
    const auto name = word.substr(1, equals - 1);
    const auto value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    const auto number = [&](std::uint64_t& target) {
      std::from_chars(value.data(), value.data() + value.size(), target);
    };
    if (name == "max_total_time") number(arguments.max_total_time);
    if (name == "runs") number(arguments.runs);
    if (name == "max_len") number(arguments.max_len);
    if (name == "seed") number(arguments.seed);
    if (name == "artifact_prefix") arguments.artifact_prefix = value;
    // Others are libFuzzer's own.
  }
  return arguments;
}

Input read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CurrentInput {
 public:
  CurrentInput(std::string path, std::size_t max_size)
      : path_(std::move(path)), size_(8 + max_size) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    SLUICE_CHECK(file >= 0 && ::ftruncate(file, static_cast<off_t>(size_)) == 0);
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    SLUICE_CHECK(memory_ != MAP_FAILED);
    ::close(file);
  }
  ~CurrentInput() {
    ::munmap(memory_, size_);
    ::unlink(path_.c_str());
  }
  CurrentInput(const CurrentInput&) = delete;
  CurrentInput& operator=(const CurrentInput&) = delete;

  /// Eight bytes of size, then the input.
  void set(const Input& input) {
    const std::uint64_t size = std::min(input.size(), size_ - 8);
    std::memcpy(memory_, &size, sizeof(size));
    if (size > 0) std::memcpy(static_cast<char*>(memory_) + 8, input.data(), size);
  }

 private:
  std::string path_;
  std::size_t size_;
  void* memory_;
};

class Session {
 public:
  explicit Session(const Arguments& arguments)
      : arguments_(arguments),
        numbers_(arguments.seed),
        current_(arguments.artifact_prefix + "current", arguments.max_len) {}

  void run() {
    const auto end = clock_.mono() + std::chrono::seconds(arguments_.max_total_time);
    load();
    for (const Input& seed : seeds_) {
      // Each beginning in memory of its own size, so that a read behind its end is seen.
      for (std::size_t size = 0; size <= seed.size(); ++size) {
        execute({seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(size)});
      }
    }
    if (seeds_.empty()) seeds_.push_back({});
    const auto may_go_on = [&] {
      if (arguments_.runs != 0) return executed_ < arguments_.runs;
      return executed_ % 64 != 0 || clock_.mono() < end;
    };
    if (arguments_.max_total_time == 0 && arguments_.runs == 0) return;
    while (may_go_on()) execute(mutation());
  }

  std::uint64_t executed() const { return executed_; }

 private:
  void load() {
    for (const auto& path : arguments_.paths) {
      if (!std::filesystem::is_directory(path)) continue;
      std::vector<std::filesystem::path> files;
      for (const auto& file : std::filesystem::directory_iterator(path)) files.push_back(file);
      std::ranges::sort(files);  // the same order everywhere, for the seed to mean something
      for (const auto& file : files) seeds_.push_back(read(file));
    }
    for (Input& seed : seeds_) {
      if (seed.size() > arguments_.max_len) seed.resize(arguments_.max_len);
    }
  }

  Input mutation() {
    Input input = seeds_[numbers_.below(seeds_.size())];
    for (std::size_t left = 1 + numbers_.below(6); left > 0; --left) {
      if (LLVMFuzzerCustomMutator == nullptr || numbers_.below(4) == 0) {
        mutate(input, seeds_[numbers_.below(seeds_.size())], arguments_.max_len, numbers_);
        continue;
      }
      std::size_t size = input.size();
      input.resize(arguments_.max_len);
      size = LLVMFuzzerCustomMutator(input.data(), size, input.size(),
                                     static_cast<unsigned>(numbers_.next()));
      input.resize(size);
    }
    input.shrink_to_fit();
    return input;
  }

  void execute(const Input& input) {
    current_.set(input);
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++executed_;
  }

  Arguments arguments_;
  SystemClock clock_;
  Numbers numbers_;
  CurrentInput current_;
  std::vector<Input> seeds_{};
  std::uint64_t executed_ = 0;
};

}  // namespace
}  // namespace sluice::fuzz

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                        std::size_t max_size) {
  static sluice::fuzz::Numbers numbers(2);
  sluice::fuzz::Input input(data, data + size);
  sluice::fuzz::mutate(input, sluice::fuzz::Input(input), max_size, numbers);
  std::ranges::copy(input, data);
  return input.size();
}

int main(int count, char** words) {
  const auto arguments =
      sluice::fuzz::parse(std::span(words + 1, static_cast<std::size_t>(count - 1)));
  if (arguments.paths.size() == 1 && std::filesystem::is_regular_file(arguments.paths[0])) {
    const auto input = sluice::fuzz::read(arguments.paths[0]);
    LLVMFuzzerTestOneInput(input.data(), input.size());
    return 0;
  }
  sluice::fuzz::Session session(arguments);
  session.run();
  std::printf("stat::number_of_executed_units: %llu\n",
              static_cast<unsigned long long>(session.executed()));
}
