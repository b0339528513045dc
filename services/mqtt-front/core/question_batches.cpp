#include "core/question_batches.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <ranges>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/planted_bug.h>

namespace sluice::front {
namespace {

/// Whether the registry does not know the call. It refuses what is not registered before it looks
/// whether there is such a method.
bool is_unknown_call(ErrorCode code) {
  return code == ErrorCode::kUnimplemented || code == ErrorCode::kPermissionDenied;
}

/// Whether a call failed for what is in it, as far as can be told.
bool may_be_a_questions_fault(ErrorCode code) {
  return !is_retryable(code) && code != ErrorCode::kCancelled;
}

}  // namespace

QuestionBatches::QuestionBatches(const Limits& limits, const Clock& clock, MakeCall make_call)
    : limits_(limits), clock_(clock), make_call_(std::move(make_call)) {}

void QuestionBatches::ask(Question question, MonoTime deadline, Done done) {
  std::unique_lock lock(mutex_);
  waiting_.emplace(
      deadline,
      Asked{.question = std::move(question), .deadline = deadline, .done = std::move(done)});
  auto calls = next_calls(clock_.mono());
  lock.unlock();
  make(std::move(calls));
}

void QuestionBatches::answered(std::uint64_t call, Result<std::vector<Answer>> answers) {
  std::vector<Ended> ended;
  std::unique_lock lock(mutex_);
  const auto found = under_way_.find(call);
  SLUICE_CHECK(found != under_way_.end());
  UnderWay over = std::move(found->second);
  under_way_.erase(found);
  if (!over.is_slow) --not_slow_;
  const MonoTime now = clock_.mono();
  settle(over, answers, now, ended);
  auto calls = next_calls(now);
  lock.unlock();
  // The next call first: the registry works while we tell what it said.
  make(std::move(calls));
  for (Ended& each : ended) each.asked.done(std::move(each.asked.question), each.answer);
}

void QuestionBatches::tick() {
  std::vector<Ended> ended;
  const auto end = [&ended](Asked& asked) {
    ended.push_back({.asked = {.question = std::move(asked.question),
                               .done = std::exchange(asked.done, nullptr)},
                     .answer = fail(ErrorCode::kDeadlineExceeded, "nobody waits any more")});
  };
  std::unique_lock lock(mutex_);
  const MonoTime now = clock_.mono();
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    end(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
  }
  for (auto& [id, call] : under_way_) {
    for (Asked& asked : call.asked) {
      if (asked.done && asked.deadline <= now) end(asked);
    }
    if (call.is_slow || now - call.since < limits_.slow) continue;
    call.is_slow = true;
    --not_slow_;
  }
  auto calls = next_calls(now);
  lock.unlock();
  make(std::move(calls));
  for (Ended& each : ended) each.asked.done(std::move(each.asked.question), each.answer);
}

void QuestionBatches::put_back(std::span<Asked> questions) {
  // Before others of the same deadline, and in their order.
  for (Asked& asked : std::views::reverse(questions)) {
    if (!asked.done) continue;
    const MonoTime deadline = asked.deadline;
    waiting_.emplace_hint(waiting_.lower_bound(deadline), deadline, std::move(asked));
  }
}

bool QuestionBatches::may_call(MonoTime now) const {
  return now < singly_until_ || not_slow_ < limits_.calls;
}

std::vector<QuestionBatches::Call> QuestionBatches::next_calls(MonoTime now) {
  std::vector<Call> calls;
  while (!waiting_.empty() && may_call(now)) {
    calls.push_back(next_call(now < singly_until_ ? 1 : limits_.questions, now));
  }
  return calls;
}

QuestionBatches::Call QuestionBatches::next_call(std::size_t max_questions, MonoTime now) {
  Call call{.id = ++last_id_};
  UnderWay& under_way = under_way_[call.id];
  under_way.since = now;
  ++not_slow_;
  std::size_t bytes = 0;
  MonoTime latest = now;
  while (!waiting_.empty() && call.questions.size() < max_questions) {
    const auto first = waiting_.begin();
    bytes += first->second.question.ByteSizeLong();
    const bool is_alone = first->second.is_alone;
    if (!call.questions.empty() && (is_alone || bytes > limits_.bytes)) break;
    latest = first->first;
    call.questions.push_back(first->second.question);
    under_way.asked.push_back(std::move(first->second));
    waiting_.erase(first);
    if (is_alone) break;
  }
  // None at all would stand for the channel's own.
  call.timeout = std::max(std::chrono::ceil<std::chrono::milliseconds>(latest - now),
                          std::chrono::milliseconds(1));
  return call;
}

void QuestionBatches::settle(UnderWay& call, Result<std::vector<Answer>>& answers, MonoTime now,
                             std::vector<Ended>& ended) {
  const std::size_t count = call.asked.size();
  if (answers && (answers->empty() || answers->size() > count)) {
    answers = fail(ErrorCode::kInternal,
                   std::format("{} answers to {} questions", answers->size(), count));
  }
  if (!answers && count > 1 && may_be_a_questions_fault(answers.error().code())) {
    if (is_unknown_call(answers.error().code())) singly_until_ = now + limits_.singly;
    for (Asked& asked : call.asked) asked.is_alone = true;
    return put_back(call.asked);
  }
  const std::size_t told = answers ? answers->size() : count;
  put_back(std::span(call.asked).subspan(told));
  if (answers && SLUICE_PLANTED_BUG("front_answers_the_next")) {
    std::ranges::rotate(*answers, std::next(answers->begin()));
  }
  for (std::size_t i = 0; i < told; ++i) {
    if (!call.asked[i].done) continue;  // its time was over before
    Answer answer = answers ? std::move((*answers)[i]) : Answer(fail(answers.error()));
    ended.push_back({.asked = std::move(call.asked[i]), .answer = std::move(answer)});
  }
}

void QuestionBatches::make(std::vector<Call> calls) {
  for (Call& call : calls) make_call_(std::move(call));
}

}  // namespace sluice::front
