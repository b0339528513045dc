#include "fake_kafka_broker.h"

#include <algorithm>

namespace sluice::testing::fake_kafka {
namespace {

std::optional<std::string_view> find_header(const void* native, std::string_view name) {
  const auto& headers = static_cast<const StoredRecord*>(native)->headers;
  // The last one counts, as with the real client.
  const auto found = std::ranges::find(headers.rbegin(), headers.rend(), name,
                                       &std::pair<std::string, std::string>::first);
  if (found == headers.rend()) return std::nullopt;
  return found->second;
}

/// A member of a group, or without a group the reader of one whole topic.
class FakeConsumer final : public kafka::Consumer {
 public:
  FakeConsumer(std::shared_ptr<Broker> broker, std::string group, std::vector<std::string> topics)
      : broker_(std::move(broker)), group_(std::move(group)) {
    member_.topics = std::move(topics);
    const std::lock_guard lock(broker_->mutex);
    if (is_member()) broker_->join(group_, member_);
  }
  ~FakeConsumer() override {
    const std::lock_guard lock(broker_->mutex);
    if (is_member() && !is_closed_) broker_->leave(group_, member_);
  }

  Result<> poll(std::chrono::milliseconds timeout, std::size_t max_records,
                kafka::RebalanceListener& listener, std::vector<kafka::RecordView>& out) override;
  void release() override { lent_.clear(); }
  Result<> begin(std::span<const kafka::StartPosition> positions) override;
  void pause(const TopicPartition& partition) override { set_paused(partition, true); }
  void resume(const TopicPartition& partition) override { set_paused(partition, false); }
  void commit(std::span<const kafka::CommitPoint> points) override;
  std::optional<Result<>> take_commit_result() override;
  Result<> commit_and_wait(std::span<const kafka::CommitPoint> points,
                           std::chrono::milliseconds) override;
  std::optional<Offset> position(const TopicPartition& partition) const override;
  void refresh_end_offsets() override;
  std::optional<kafka::EndOffset> end_offset(const TopicPartition& partition) const override;
  Result<> close(kafka::RebalanceListener& listener, std::chrono::milliseconds timeout) override;

 private:
  struct Reading {
    std::int64_t position = 0;
    bool is_paused = false;
    std::optional<kafka::EndOffset> end{};
  };
  using Lock = std::unique_lock<std::mutex>;

  bool is_member() const { return !group_.empty(); }
  /// Both call the listener without the lock, because it calls us.
  Result<> serve(Lock& lock, kafka::RebalanceListener& listener);
  void serve_group(Lock& lock, kafka::RebalanceListener& listener);
  Result<> assign_table(Lock& lock, kafka::RebalanceListener& listener);
  void begin_locked(std::span<const kafka::StartPosition> positions);
  void answer();
  bool take(std::size_t max_records, std::vector<kafka::RecordView>& out);
  bool take_next(const TopicPartition& partition, Reading& reading,
                 std::vector<kafka::RecordView>& out);
  void set_paused(const TopicPartition& partition, bool is_paused);

  const std::shared_ptr<Broker> broker_;  // owned with FakeKafka and its other clients
  const std::string group_;
  Member member_;
  bool was_assigned_ = false;
  bool is_closed_ = false;
  std::map<TopicPartition, Reading> readings_;
  std::size_t turn_ = 0;  // whose record is next
  // Copies, freed by release(): a view that is kept longer is caught by the address sanitizer.
  std::vector<std::unique_ptr<const StoredRecord>> lent_;

  std::vector<kafka::CommitPoint> committing_;
  bool is_commit_sent_ = false;
  std::optional<Result<>> commit_result_;
  std::optional<MonoTime> ends_asked_at_;
};

Result<> FakeConsumer::poll(std::chrono::milliseconds timeout, std::size_t max_records,
                            kafka::RebalanceListener& listener,
                            std::vector<kafka::RecordView>& out) {
  Lock lock(broker_->mutex);
  SLUICE_TRY(serve(lock, listener));
  if (take(max_records, out) || timeout.count() <= 0) return {};
  const std::uint64_t seen = broker_->version;
  broker_->changed.wait_for(lock, timeout, [&] { return broker_->version != seen; });
  SLUICE_TRY(serve(lock, listener));
  take(max_records, out);
  return {};
}

Result<> FakeConsumer::serve(Lock& lock, kafka::RebalanceListener& listener) {
  if (!broker_->is_reachable) return {};
  if (is_member()) {
    serve_group(lock, listener);
  } else if (!was_assigned_) {
    SLUICE_TRY(assign_table(lock, listener));
  }
  answer();
  return {};
}

void FakeConsumer::serve_group(Lock& lock, kafka::RebalanceListener& listener) {
  if (member_.is_expelled) {
    const std::vector<TopicPartition> lost(member_.owned.begin(), member_.owned.end());
    lock.unlock();
    listener.on_lost(lost);
    lock.lock();
    readings_.clear();
    member_.owned.clear();
    member_.is_expelled = false;
    was_assigned_ = false;
    if (std::exchange(is_commit_sent_, false)) {
      commit_result_ = fail(ErrorCode::kAborted, "commit offsets: not a member any more");
    }
    broker_->join(group_, member_);
  }

  std::vector<TopicPartition> revoked;
  std::ranges::set_difference(member_.owned, member_.target, std::back_inserter(revoked));
  if (!revoked.empty()) {
    lock.unlock();
    listener.on_revoked(revoked);
    lock.lock();
    for (const TopicPartition& partition : revoked) {
      member_.owned.erase(partition);
      readings_.erase(partition);
    }
    broker_->note_change();
  }

  std::vector<TopicPartition> assigned;
  std::ranges::set_difference(member_.target, member_.owned, std::back_inserter(assigned));
  std::erase_if(assigned, [&](const TopicPartition& partition) {
    return broker_->is_owned_by_another(broker_->groups[group_], member_, partition);
  });
  if (assigned.empty() && was_assigned_) return;
  was_assigned_ = true;
  member_.owned.insert(assigned.begin(), assigned.end());
  lock.unlock();
  const auto positions = listener.on_assigned(assigned);
  lock.lock();
  begin_locked(positions);
}

Result<> FakeConsumer::assign_table(Lock& lock, kafka::RebalanceListener& listener) {
  const auto topic = broker_->topics.find(member_.topics.front());
  if (topic == broker_->topics.end())
    return fail(ErrorCode::kNotFound, "describe topic: not found");
  std::vector<TopicPartition> partitions;
  for (std::size_t i = 0; i < topic->second.partitions.size(); ++i) {
    partitions.push_back({topic->first, Partition(static_cast<std::int32_t>(i))});
    readings_[partitions.back()].position = topic->second.partitions[i].start;
  }
  was_assigned_ = true;
  lock.unlock();
  static_cast<void>(listener.on_assigned(partitions));
  lock.lock();
  return {};
}

Result<> FakeConsumer::begin(std::span<const kafka::StartPosition> positions) {
  const std::lock_guard lock(broker_->mutex);
  begin_locked(positions);
  broker_->note_change();
  return {};
}

void FakeConsumer::begin_locked(std::span<const kafka::StartPosition> positions) {
  const auto& committed = broker_->groups[group_].committed;
  for (const kafka::StartPosition& start : positions) {
    if (!member_.owned.contains(start.partition)) continue;
    const Log* log = broker_->find_log(start.partition);
    std::optional<Offset> from = start.offset;
    if (const auto found = committed.find(start.partition); !from && found != committed.end()) {
      from = found->second;
    }
    const std::int64_t first = log == nullptr ? 0 : log->start;
    const std::int64_t end = log == nullptr ? 0 : log->next;
    // What is not there any more, or not yet, means: from the beginning.
    const bool is_inside = from && from->value() >= first && from->value() <= end;
    readings_[start.partition].position = is_inside ? from->value() : first;
  }
}

/// Gives the answers that real brokers give some time after they were asked.
void FakeConsumer::answer() {
  if (is_commit_sent_) {
    commit_result_ = broker_->commit(group_, member_, committing_);
    is_commit_sent_ = false;
  }
  if (!ends_asked_at_) return;
  for (auto& [partition, reading] : readings_) {
    if (const Log* log = broker_->find_log(partition)) {
      reading.end = kafka::EndOffset{Offset(log->next), *ends_asked_at_};
    }
  }
  ends_asked_at_.reset();
}

/// One record of each partition by turns, so that no partition waits for another.
bool FakeConsumer::take(std::size_t max_records, std::vector<kafka::RecordView>& out) {
  if (!broker_->is_reachable || readings_.empty()) return false;
  std::size_t taken = 0;
  std::size_t without = 0;
  while (taken < max_records && without < readings_.size()) {
    const auto next =
        std::next(readings_.begin(), static_cast<std::ptrdiff_t>(turn_ % readings_.size()));
    ++turn_;
    if (take_next(next->first, next->second, out)) {
      ++taken;
      without = 0;
    } else {
      ++without;
    }
  }
  return taken > 0;
}

bool FakeConsumer::take_next(const TopicPartition& partition, Reading& reading,
                             std::vector<kafka::RecordView>& out) {
  const Log* log = broker_->find_log(partition);
  if (reading.is_paused || log == nullptr) return false;
  if (reading.position < log->start) reading.position = log->start;
  const auto found =
      std::ranges::lower_bound(log->records, Offset(reading.position), {}, &StoredRecord::offset);
  if (found == log->records.end()) {
    reading.position = log->next;  // past the gap at the end
    return false;
  }
  const StoredRecord& record = *lent_.emplace_back(std::make_unique<const StoredRecord>(*found));
  reading.position = record.offset.value() + 1;
  kafka::RecordView view;
  view.topic = partition.topic;
  view.partition = record.partition;
  view.offset = record.offset;
  view.key = record.key;
  if (record.value) view.value = *record.value;
  view.timestamp = record.timestamp;
  view.find_header = find_header;
  view.native = &record;
  // The partition may be taken away before the view is released.
  const auto topic = std::ranges::find(member_.topics, partition.topic);
  if (topic != member_.topics.end()) view.topic = *topic;
  out.push_back(view);
  return true;
}

void FakeConsumer::set_paused(const TopicPartition& partition, bool is_paused) {
  const std::lock_guard lock(broker_->mutex);
  if (const auto found = readings_.find(partition); found != readings_.end()) {
    found->second.is_paused = is_paused;
    broker_->note_change();
  }
}

void FakeConsumer::commit(std::span<const kafka::CommitPoint> points) {
  committing_.assign(points.begin(), points.end());
  is_commit_sent_ = true;
}

std::optional<Result<>> FakeConsumer::take_commit_result() {
  return std::exchange(commit_result_, std::nullopt);
}

Result<> FakeConsumer::commit_and_wait(std::span<const kafka::CommitPoint> points,
                                       std::chrono::milliseconds /*timeout*/) {
  const std::lock_guard lock(broker_->mutex);
  if (!broker_->is_reachable)
    return fail(ErrorCode::kDeadlineExceeded, "commit offsets: no answer in time");
  return broker_->commit(group_, member_, points);
}

std::optional<Offset> FakeConsumer::position(const TopicPartition& partition) const {
  const auto found = readings_.find(partition);
  if (found == readings_.end()) return std::nullopt;
  return Offset(found->second.position);
}

void FakeConsumer::refresh_end_offsets() {
  if (!ends_asked_at_) ends_asked_at_ = broker_->clock.mono();
}

std::optional<kafka::EndOffset> FakeConsumer::end_offset(const TopicPartition& partition) const {
  const auto found = readings_.find(partition);
  return found == readings_.end() ? std::nullopt : found->second.end;
}

Result<> FakeConsumer::close(kafka::RebalanceListener& listener,
                             std::chrono::milliseconds /*timeout*/) {
  Lock lock(broker_->mutex);
  if (std::exchange(is_closed_, true)) return {};
  std::vector<TopicPartition> ours;
  for (const auto& [partition, reading] : readings_) ours.push_back(partition);
  for (const TopicPartition& partition : member_.owned) {
    if (!std::ranges::contains(ours, partition)) ours.push_back(partition);
  }
  lock.unlock();
  if (!ours.empty()) listener.on_revoked(ours);
  lock.lock();
  readings_.clear();
  member_.owned.clear();
  if (is_member()) broker_->leave(group_, member_);
  return {};
}

}  // namespace

std::unique_ptr<kafka::Consumer> make_consumer(std::shared_ptr<Broker> broker, std::string group,
                                               std::vector<std::string> topics) {
  return std::make_unique<FakeConsumer>(std::move(broker), std::move(group), std::move(topics));
}

}  // namespace sluice::testing::fake_kafka
