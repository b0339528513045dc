#pragma once

#include "kafka/cluster.h"

#include <memory>
#include <string>
#include <vector>

namespace sluice::simulation {

/// A member of a group, whose commits are watched and whose answers get lost.
class SimConsumer final : public kafka::Consumer {
 public:
  SimConsumer(Cluster& cluster, std::string group, std::vector<std::string> topics,
              std::unique_ptr<kafka::Consumer> fake)
      : cluster_(cluster),
        group_(std::move(group)),
        topics_(std::move(topics)),
        fake_(std::move(fake)) {}

  Result<> poll(std::chrono::milliseconds timeout, std::size_t max_records,
                kafka::RebalanceListener& listener, std::vector<kafka::RecordView>& out) override;
  void release() override { fake_->release(); }
  Result<> begin(std::span<const kafka::StartPosition> positions) override {
    return fake_->begin(positions);
  }
  void pause(const kafka::TopicPartition& partition) override { fake_->pause(partition); }
  void resume(const kafka::TopicPartition& partition) override { fake_->resume(partition); }
  void commit(std::span<const kafka::CommitPoint> points) override;
  std::optional<Result<>> take_commit_result() override;
  Result<> commit_and_wait(std::span<const kafka::CommitPoint> points,
                           std::chrono::milliseconds timeout) override;
  std::optional<kafka::Offset> position(const kafka::TopicPartition& partition) const override {
    return fake_->position(partition);
  }
  void refresh_end_offsets() override { fake_->refresh_end_offsets(); }
  std::optional<kafka::EndOffset> end_offset(
      const kafka::TopicPartition& partition) const override {
    return fake_->end_offset(partition);
  }
  Result<> close(kafka::RebalanceListener& listener, std::chrono::milliseconds timeout) override {
    return fake_->close(listener, timeout);
  }

 private:
  Cluster& cluster_;
  const std::string group_;
  const std::vector<std::string> topics_;
  const std::unique_ptr<kafka::Consumer> fake_;
  bool awaits_commit_ = false;
};

}  // namespace sluice::simulation
