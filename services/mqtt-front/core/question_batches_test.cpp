#include "core/question_batches.h"

#include <algorithm>
#include <format>
#include <map>
#include <optional>
#include <string>

#include <sluice/base/planted_bug.h>
#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

namespace proto = ::sluice::device::v1;
using namespace std::chrono_literals;
using Answer = QuestionBatches::Answer;

/// A registry whose calls wait until the test answers them, and what the questions came to.
class QuestionBatchesTest : public ::testing::Test {
 protected:
  void ask(const std::string& token, std::chrono::milliseconds patience = 3000ms) {
    QuestionBatches::Question question;
    question.set_token(token);
    batches.ask(std::move(question), clock.mono() + patience,
                [this, token](const QuestionBatches::Question& asked, const Answer& answer) {
                  EXPECT_EQ(asked.token(), token) << "somebody else's question came back";
                  EXPECT_FALSE(outcomes.contains(token)) << token << " was answered twice";
                  outcomes[token] = answer ? answer->identity().device()
                                           : std::string(to_string(answer.error().code()));
                });
  }
  void ask_many(int from, int to) {
    for (int i = from; i <= to; ++i) ask(std::to_string(i));
  }

  /// The tokens of a call that is under way, the oldest is 0.
  std::vector<std::string> tokens(std::size_t call) const {
    std::vector<std::string> out;
    for (const auto& question : calls.at(call).questions) out.push_back(question.token());
    return out;
  }
  static Answer device_of(const std::string& token) {
    proto::AuthenticateResponse response;
    response.mutable_identity()->set_device("device " + token);
    return response;
  }
  QuestionBatches::Call take(std::size_t call) {
    QuestionBatches::Call taken = std::move(calls.at(call));
    calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(call));
    return taken;
  }
  /// Answers the first `count` questions of a call as a registry does that knows them all.
  void answer(std::size_t call, std::size_t count = 1000) {
    const QuestionBatches::Call taken = take(call);
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < std::min(count, taken.questions.size()); ++i) {
      answers.push_back(device_of(taken.questions[i].token()));
    }
    batches.answered(taken.id, std::move(answers));
  }
  void refuse(std::size_t call, ErrorCode code) {
    batches.answered(take(call).id, fail(code, "no"));
  }
  /// Whether everybody of these was told of their own device.
  void expect_own_devices(int from, int to) {
    for (int i = from; i <= to; ++i) {
      EXPECT_EQ(outcomes[std::to_string(i)], std::format("device {}", i));
    }
  }

  sluice::testing::SimClock clock;
  std::vector<QuestionBatches::Call> calls;  // under way
  std::map<std::string, std::string> outcomes;
  QuestionBatches batches{{.calls = 2, .questions = 3, .bytes = 1000},
                          clock,
                          [this](QuestionBatches::Call call) { calls.push_back(std::move(call)); }};
};

TEST_F(QuestionBatchesTest, LetsAQuestionGoAtOnceAndAloneWhileACallIsFree) {
  ask_many(1, 2);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(tokens(0), std::vector<std::string>{"1"});
  EXPECT_EQ(calls[0].timeout, 3000ms);
  answer(0);
  answer(0);
  expect_own_devices(1, 2);
}

TEST_F(QuestionBatchesTest, SendsWhatCameMeanwhileTogetherWhenACallIsAnswered) {
  ask_many(1, 6);
  ASSERT_EQ(calls.size(), 2U);
  answer(1);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(tokens(1), (std::vector<std::string>{"3", "4", "5"})) << "no more than a call may have";
  answer(1);
  EXPECT_EQ(tokens(1), std::vector<std::string>{"6"});
  answer(0);
  answer(0);
  EXPECT_TRUE(calls.empty());
  expect_own_devices(1, 6);
}

TEST_F(QuestionBatchesTest, GivesEachQuestionItsOwnAnswer) {
  ask_many(1, 5);
  answer(0);
  const QuestionBatches::Call call = take(1);
  ASSERT_EQ(call.questions.size(), 3U);
  std::vector<Answer> answers;
  answers.push_back(device_of("3"));
  answers.emplace_back(fail(ErrorCode::kInvalidArgument, "of no kind"));
  answers.push_back(device_of("5"));
  batches.answered(call.id, std::move(answers));
  EXPECT_EQ(outcomes["3"], "device 3");
  EXPECT_EQ(outcomes["4"], "invalid_argument") << "and alone";
  EXPECT_EQ(outcomes["5"], "device 5");
}

TEST_F(QuestionBatchesTest, KeepsTheBytesOfACallBounded) {
  ask_many(1, 2);
  const std::string large(600, 'x');
  for (const char* name : {"a", "b", "c"}) ask(name + large);
  ask(std::string(5000, 'y'));
  std::vector<std::size_t> counts;
  for (int i = 0; i < 4; ++i) {
    answer(0);
    counts.push_back(calls.back().questions.size());
  }
  EXPECT_EQ(counts, (std::vector<std::size_t>{1, 1, 1, 1}));
  answer(0), answer(0);
  EXPECT_EQ(outcomes.size(), 6U);
}

TEST_F(QuestionBatchesTest, PrefersThoseWhoseTimeIsOverFirst) {
  ask_many(1, 2);
  ask("patient", 3000ms);
  for (const char* name : {"a", "b", "c"}) ask(name, 1000ms);
  answer(0);
  EXPECT_EQ(tokens(1), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(calls[1].timeout, 1000ms);
}

// As each would have been told by a call of its own.
TEST_F(QuestionBatchesTest, AFailedCallIsTheAnswerToAllOfItsQuestions) {
  ask_many(1, 6);
  answer(0);
  refuse(1, ErrorCode::kUnavailable);
  for (const char* token : {"3", "4", "5"}) EXPECT_EQ(outcomes[token], "unavailable");
  refuse(0, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(outcomes["2"], "deadline_exceeded");
  EXPECT_FALSE(outcomes.contains("6")) << "is under way";
  answer(0);
  expect_own_devices(6, 6);
}

TEST_F(QuestionBatchesTest, EndsEachQuestionByItsOwnDeadline) {
  ask_many(1, 2);
  ask("brief", 1000ms);
  ask("patient", 3000ms);
  answer(0);
  EXPECT_EQ(tokens(1), (std::vector<std::string>{"brief", "patient"}));
  EXPECT_EQ(calls[1].timeout, 3000ms) << "the longest of them";
  ask("waits", 1000ms);
  // No call is slow yet, so that it goes on waiting.
  clock.advance(400ms);
  batches.tick();
  EXPECT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(calls.size(), 2U);
  clock.advance(600ms);
  batches.tick();
  EXPECT_EQ(outcomes["brief"], "deadline_exceeded");
  EXPECT_EQ(outcomes["waits"], "deadline_exceeded");
  answer(1);
  EXPECT_EQ(outcomes["patient"], "device patient");
  EXPECT_EQ(outcomes["brief"], "deadline_exceeded") << "its answer came too late";
}

// One of several registries, while the others answer.
TEST_F(QuestionBatchesTest, IsNotHeldUpByCallsThatHang) {
  ask_many(1, 8);
  ASSERT_EQ(calls.size(), 2U);
  clock.advance(500ms);
  batches.tick();
  ASSERT_EQ(calls.size(), 4U) << "as many more, and not without end";
  EXPECT_EQ(tokens(2), (std::vector<std::string>{"3", "4", "5"}));
  answer(2), answer(2);
  expect_own_devices(3, 8);
  refuse(0, ErrorCode::kDeadlineExceeded);
  answer(0);
  EXPECT_EQ(outcomes["1"], "deadline_exceeded");
  ask_many(9, 11);
  EXPECT_EQ(calls.size(), 2U) << "those that hung are not counted twice";
}

TEST_F(QuestionBatchesTest, AsksAgainForWhatDidNotFitIntoTheAnswer) {
  ask_many(1, 5);
  answer(0);
  answer(1, 2);
  EXPECT_FALSE(outcomes.contains("5"));
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(tokens(1), std::vector<std::string>{"5"});
  answer(0), answer(0);
  expect_own_devices(1, 5);
}

// An older registry, in the middle of an upgrade: it refuses a call that it does not know before it
// looks for it.
TEST_F(QuestionBatchesTest, AsksARegistrySinglyThatDoesNotKnowTheCall) {
  for (const ErrorCode code : {ErrorCode::kUnimplemented, ErrorCode::kPermissionDenied}) {
    outcomes.clear();
    ask_many(1, 5);
    answer(0);
    refuse(1, code);
    ASSERT_EQ(calls.size(), 4U) << "each by itself";
    EXPECT_TRUE(outcomes.contains("1"));
    EXPECT_EQ(outcomes.size(), 1U) << "nobody hears of it";
    ask_many(6, 9);
    EXPECT_EQ(calls.size(), 8U) << "without a bound, as before there were such calls";
    while (!calls.empty()) answer(0);
    expect_own_devices(1, 9);
    clock.advance(30s);
    outcomes.clear();
    ask_many(1, 5);
    EXPECT_EQ(calls.size(), 2U) << "it is tried again";
    answer(0), answer(0);
    while (!calls.empty()) answer(0);
    expect_own_devices(1, 5);
  }
}

// There should be none that a registry cannot answer singly; if there is, it is its sender's harm.
TEST_F(QuestionBatchesTest, FindsTheQuestionThatACallFailsFor) {
  ask_many(1, 5);
  ask_many(6, 7);
  answer(0);
  refuse(1, ErrorCode::kInternal);
  EXPECT_EQ(outcomes.size(), 1U);
  for (int alone = 3; alone <= 5; ++alone) {
    ASSERT_EQ(calls.size(), 2U);
    EXPECT_EQ(tokens(1), std::vector<std::string>{std::to_string(alone)});
    if (alone == 4) {
      refuse(1, ErrorCode::kInternal);
    } else {
      answer(1);
    }
  }
  EXPECT_EQ(outcomes["4"], "internal");
  EXPECT_EQ(tokens(1), (std::vector<std::string>{"6", "7"})) << "others go together";
  answer(0), answer(0);
  EXPECT_EQ(outcomes["3"] + outcomes["5"] + outcomes["7"], "device 3device 5device 7");
}

TEST_F(QuestionBatchesTest, BelievesNoMoreAnswersThanItAskedFor) {
  ask_many(1, 4);
  answer(0);
  const QuestionBatches::Call call = take(1);
  ASSERT_EQ(call.questions.size(), 2U);
  std::vector<Answer> answers;
  for (const char* token : {"3", "4", "5"}) answers.push_back(device_of(token));
  batches.answered(call.id, std::move(answers));
  EXPECT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(tokens(1), std::vector<std::string>{"3"}) << "each by itself";
  answer(0), answer(0), answer(0);
  expect_own_devices(1, 4);
}

// As a channel does that has been stopped.
TEST_F(QuestionBatchesTest, TakesAnswersFromWithinTheCall) {
  std::size_t ended = 0;
  std::optional<QuestionBatches> stopped;
  stopped.emplace(QuestionBatches::Limits{.calls = 1, .questions = 3}, clock,
                  [&](const QuestionBatches::Call& call) {
                    stopped->answered(call.id, fail(ErrorCode::kCancelled, "stopped"));
                  });
  for (int i = 0; i < 100; ++i) {
    stopped->ask({}, clock.mono() + 1s,
                 [&](const QuestionBatches::Question&, const Answer& answer) {
                   EXPECT_EQ(answer.error().code(), ErrorCode::kCancelled);
                   ++ended;
                 });
  }
  EXPECT_EQ(ended, 100U);
}

// What GivesEachQuestionItsOwnAnswer and others are there for: a device let in as another one.
TEST_F(QuestionBatchesTest, AMixUpOfAnswersWouldBeSeen) {
  const ScopedPlantedBug bug("front_answers_the_next");
  ask_many(1, 5);
  answer(0);
  answer(1);
  EXPECT_NE(outcomes["3"], "device 3");
}

}  // namespace
}  // namespace sluice::front
