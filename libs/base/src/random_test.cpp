#include <sluice/base/random.h>

#include <array>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

/// Gives numbers as told.
class Given final : public Random {
 public:
  explicit Given(std::vector<std::uint64_t> numbers) : numbers_(std::move(numbers)) {}
  std::uint64_t next() override { return numbers_.at(used_++); }
  std::size_t used() const { return used_; }

 private:
  std::vector<std::uint64_t> numbers_;
  std::size_t used_ = 0;
};

TEST(Random, BelowIsBelow) {
  SystemRandom random;
  for (std::uint64_t bound : {1ULL, 2ULL, 3ULL, 7ULL, 1'000'003ULL}) {
    for (int i = 0; i < 200; ++i) EXPECT_LT(random.below(bound), bound);
  }
}

TEST(Random, BelowDrawsAgainWhereSmallResultsWouldBeFavoured) {
  // 2^64 - 1 is a multiple of 3, so that the one number above its last whole multiple is thrown
  // away.
  Given random({Random::max(), 5});
  EXPECT_EQ(random.below(3), 2U);
  EXPECT_EQ(random.used(), 2U);
}

TEST(Random, FillTakesEveryByte) {
  Given random({0x0807060504030201, 0x0B0A09});
  std::array<std::byte, 11> bytes{};
  random.fill(bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], static_cast<std::byte>(i + 1));
}

TEST(RandomDeathTest, BelowZeroIsABug) {
  SystemRandom random;
  EXPECT_DEATH(random.below(0), "BUG:");
}

TEST(SystemRandom, GivesNoNumberTwiceInAnyThread) {
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kEach = 1'000;
  SystemRandom random;
  std::set<std::uint64_t> seen;
  std::mutex mutex;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        std::vector<std::uint64_t> own;
        for (std::size_t j = 0; j < kEach; ++j) own.push_back(random.next());
        const std::lock_guard lock(mutex);
        seen.insert(own.begin(), own.end());
      });
    }
  }
  EXPECT_EQ(seen.size(), kThreads * kEach);
}

}  // namespace
}  // namespace sluice
