#include "ack_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kOk = ReasonCode::kSuccess;

std::vector<int> taken(AckWindow& window) {
  std::vector<int> ids;
  while (const auto answer = window.take()) ids.push_back(answer->packet_id);
  return ids;
}

TEST(AckWindow, AnswersInTheOrderOfComingWhateverTheOrderOfFinishing) {
  AckWindow window;
  const auto first = window.push(Qos::kAtLeastOnce, 10);
  const auto second = window.push(Qos::kExactlyOnce, 11);
  const auto third = window.push(Qos::kAtLeastOnce, 12);
  window.finish(third, kOk, {});
  EXPECT_THAT(taken(window), IsEmpty());
  window.finish(first, kOk, {});
  EXPECT_THAT(taken(window), ElementsAre(10));
  window.finish(second, kOk, {});
  EXPECT_THAT(taken(window), ElementsAre(11, 12));
}

TEST(AckWindow, NamesGoRoundWithoutZero) {
  AckWindow window(0xFFFF'FFFE);
  const std::vector<PublishId> ids = {
      window.push(Qos::kAtLeastOnce, 1), window.push(Qos::kAtLeastOnce, 2),
      window.push(Qos::kAtLeastOnce, 3), window.push(Qos::kAtLeastOnce, 4)};
  EXPECT_THAT(ids, ElementsAre(0xFFFF'FFFEU, 0xFFFF'FFFFU, 1U, 2U));
  for (const std::size_t i : {3U, 1U, 0U, 2U}) window.finish(ids[i], kOk, {});
  EXPECT_THAT(taken(window), ElementsAre(1, 2, 3, 4));
}

TEST(AckWindow, KeepsEachReasonWithItsOwn) {
  AckWindow window;
  const auto first = window.push(Qos::kAtLeastOnce, 1);
  const auto second = window.push(Qos::kAtLeastOnce, 2);
  window.finish(second, ReasonCode::kQuotaExceeded, "two");
  window.finish(first, ReasonCode::kNotAuthorized, "one");
  const auto one = window.take();
  EXPECT_EQ(one->reason, ReasonCode::kNotAuthorized);
  EXPECT_EQ(one->reason_string, "one");
  const auto two = window.take();
  EXPECT_EQ(two->reason, ReasonCode::kQuotaExceeded);
  EXPECT_EQ(two->reason_string, "two");
}

TEST(AckWindow, GivesARepeatedPublishTheAnswerOfItsFirst) {
  AckWindow window;
  const auto first = window.push(Qos::kExactlyOnce, 5);
  window.push_repeated(5);
  EXPECT_TRUE(window.is_awaited_qos2(5));
  window.finish(first, ReasonCode::kQuotaExceeded, {});
  EXPECT_FALSE(window.is_awaited_qos2(5));
  EXPECT_EQ(window.take()->reason, ReasonCode::kQuotaExceeded);
  EXPECT_EQ(window.take()->reason, ReasonCode::kQuotaExceeded);
}

TEST(AckWindow, CountsWhatIsOpenForTheReceiveMaximum) {
  AckWindow window;
  const auto first = window.push(Qos::kExactlyOnce, 5);
  const auto second = window.push(Qos::kExactlyOnce, 6);
  const auto third = window.push(Qos::kAtLeastOnce, 7);
  window.push_finished(Qos::kExactlyOnce, 1, kOk);
  EXPECT_EQ(window.open(), 3U);
  window.finish(second, kOk, {});  // now the session's packet id stands for it
  EXPECT_EQ(window.open(), 2U);
  window.finish(first, ReasonCode::kQuotaExceeded, {});
  window.finish(third, kOk, {});
  EXPECT_EQ(window.open(), 2U) << "unsent answers are not had by the client";
  taken(window);
  EXPECT_EQ(window.open(), 0U);
}

TEST(Ring, KeepsOrderOverGrowthEraseAndInsert) {
  Ring<int> ring;
  std::vector<int> model;
  for (int i = 0; i < 1000; ++i) {
    if (i % 3 == 2) {
      const std::size_t at = static_cast<std::size_t>(i) * 7 % ring.size();
      ring.erase(at);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (i % 5 == 0 && !model.empty()) {
      const std::size_t at = static_cast<std::size_t>(i) * 5 % ring.size();
      ring.insert(at, i);
      model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), i);
    } else {
      ring.push_back(i);
      model.push_back(i);
    }
    ASSERT_EQ(ring.size(), model.size());
    for (std::size_t at = 0; at < model.size(); ++at) ASSERT_EQ(ring[at], model[at]);
  }
}

}  // namespace
}  // namespace sluice::mqtt
