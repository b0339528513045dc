#include <sluice/crypto/key_ring.h>

#include <set>
#include <string>

#include <sluice/base/encoding.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::crypto {
namespace {

using sluice::testing::SimRandom;

std::string line(std::string_view id, char fill) {
  return std::string(id) + " " + to_base64url(std::string(32, fill)) + "\n";
}

class KeyRingTest : public ::testing::Test {
 protected:
  KeyRing ring(const std::string& text) {
    auto parsed = KeyRing::parse(Secret(text), random_);
    EXPECT_TRUE(parsed) << parsed.error().message();
    return *std::move(parsed);
  }
  bool is_refused(const std::string& text) { return !KeyRing::parse(Secret(text), random_); }

  SimRandom random_{7};
};

TEST_F(KeyRingTest, OpensWhatItSealed) {
  const KeyRing keys = ring(line("k1", 'a'));
  for (const std::string& plain : {std::string(), std::string("psk"), std::string(100'000, '\0')}) {
    const auto opened = keys.open(*keys.seal(plain, "psk/t/d"), "psk/t/d");
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->reveal(), plain);
  }
}

TEST_F(KeyRingTest, HidesThePlainTextAndNeverRepeatsItself) {
  const KeyRing keys = ring(line("k1", 'a'));
  std::set<std::string> sealed;
  for (int i = 0; i < 100; ++i) {
    sealed.insert(*keys.seal("canary", "c"));
    EXPECT_EQ(sealed.rbegin()->find("canary"), std::string::npos);
  }
  EXPECT_EQ(sealed.size(), 100U);
}

TEST_F(KeyRingTest, OpensNothingInAnotherContext) {
  const KeyRing keys = ring(line("k1", 'a'));
  const auto opened = keys.open(*keys.seal("psk", "psk/t/one"), "psk/t/two");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(opened.error().reason(), "not_authentic");
}

TEST_F(KeyRingTest, OpensNothingThatWasChanged) {
  const KeyRing keys = ring(line("k1", 'a'));
  const std::string sealed = *keys.seal("psk", "c");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(keys.open(changed, "c")) << "byte " << i;
    EXPECT_FALSE(keys.open(sealed.substr(0, i), "c")) << "cut at " << i;
  }
  EXPECT_FALSE(keys.open(sealed + "x", "c"));
}

TEST_F(KeyRingTest, RotatesByAppendingAKey) {
  const std::string before = *ring(line("k1", 'a')).seal("psk", "c");
  const KeyRing both = ring(line("k1", 'a') + line("k2", 'b'));
  EXPECT_EQ(both.newest_key_id(), "k2");
  ASSERT_TRUE(both.open(before, "c"));
  EXPECT_EQ(KeyRing::key_id_of(before), "k1");
  const std::string after = *both.seal("psk", "c");
  EXPECT_EQ(KeyRing::key_id_of(after), "k2");

  const KeyRing rotated = ring(line("k2", 'b'));
  EXPECT_TRUE(rotated.open(after, "c"));
  const auto gone = rotated.open(before, "c");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(gone.error().reason(), "unknown_key");
}

TEST_F(KeyRingTest, OpensNothingWithAnotherKeyOfTheSameId) {
  EXPECT_FALSE(ring(line("k1", 'b')).open(*ring(line("k1", 'a')).seal("psk", "c"), "c"));
}

TEST_F(KeyRingTest, ReadsCommentsAndLinesOfAllSystems) {
  EXPECT_EQ(ring("# keys\r\n\r\nk1 " + to_base64url(std::string(32, 'a')) + "\r\n").newest_key_id(),
            "k1");
}

TEST_F(KeyRingTest, RefusesRingsThatCannotBeMeant) {
  EXPECT_TRUE(is_refused(""));
  EXPECT_TRUE(is_refused("# nothing\n"));
  EXPECT_TRUE(is_refused("k1\n"));
  EXPECT_TRUE(is_refused(line("", 'a')));
  EXPECT_TRUE(is_refused(line("k_1", 'a')));
  EXPECT_TRUE(is_refused(line(std::string(33, 'k'), 'a')));
  EXPECT_TRUE(is_refused(line("k1", 'a') + line("k1", 'b')));
  EXPECT_TRUE(is_refused(line("k1", '\0')));
  EXPECT_TRUE(is_refused("k1 " + to_base64url(std::string(31, 'a'))));
  EXPECT_TRUE(is_refused("k1 " + to_base64url(std::string(32, 'a')) + " x"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += line("k" + std::to_string(i), 'a');
  EXPECT_TRUE(is_refused(many));
}

TEST_F(KeyRingTest, NeverQuotesAKeyInErrors) {
  const std::string key = to_base64url(std::string(31, 'a'));
  const auto parsed = KeyRing::parse(Secret("k1 " + key), random_);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message().find(key), std::string::npos);
}

TEST_F(KeyRingTest, TellsNoKeyIdOfWhatIsNotSealed) {
  for (const char* text : {"", "x", "plain text", "\x01\x05"})
    EXPECT_EQ(KeyRing::key_id_of(text), "") << text;
}

TEST_F(KeyRingTest, RefusesToSealWhatIsTooLarge) {
  const KeyRing keys = ring(line("k1", 'a'));
  const auto refused = keys.seal(std::string(KeyRing::kMaxSealedSize + 1, 'x'), "c");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "too_large_to_seal");
}

}  // namespace
}  // namespace sluice::crypto
