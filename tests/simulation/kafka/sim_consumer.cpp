#include "kafka/sim_consumer.h"

#include <utility>

namespace sluice::simulation {

Result<> SimConsumer::poll(std::chrono::milliseconds timeout, std::size_t max_records,
                           kafka::RebalanceListener& listener,
                           std::vector<kafka::RecordView>& out) {
  // A fetch brings what fits, which is often in the middle of what there is.
  World& world = cluster_.world();
  if (max_records > 1 && world.strikes(Fault::kRebalance, 0.3)) {
    max_records = 1 + world.random.below(max_records);
  }
  auto polled = fake_->poll(timeout, max_records, listener, out);
  if (std::exchange(awaits_commit_, false)) cluster_.tell_commits(group_, topics_);
  return polled;
}

void SimConsumer::commit(std::span<const kafka::CommitPoint> points) {
  World& world = cluster_.world();
  if (world.strikes(Fault::kDuplicate, 0.1)) cluster_.fail_next_commit();
  awaits_commit_ = true;
  fake_->commit(points);
}

std::optional<Result<>> SimConsumer::take_commit_result() {
  auto result = fake_->take_commit_result();
  if (result && *result && cluster_.world().strikes(Fault::kLoss, 0.05)) {
    return fail(ErrorCode::kUnavailable, "commit offsets: the answer got lost");
  }
  return result;
}

Result<> SimConsumer::commit_and_wait(std::span<const kafka::CommitPoint> points,
                                      std::chrono::milliseconds timeout) {
  auto committed = fake_->commit_and_wait(points, timeout);
  cluster_.tell_commits(group_, topics_);
  return committed;
}

}  // namespace sluice::simulation
