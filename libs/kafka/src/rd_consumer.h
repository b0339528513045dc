#pragma once

#include "rd_client.h"

#include <atomic>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sluice/kafka/consumer.h>

namespace sluice::kafka::rd {

/// Consumer over librdkafka. Messages are taken one by one by rd_kafka_consumer_poll and not by its
/// batch calls: those have slipped offsets around pause and rebalance in several versions, and a
/// call costs little next to the handling of a record. Rebalances run as callbacks inside that
/// call, on our thread.
///
/// Commits wait while the group is being joined again: a broker answers a connection's requests in
/// order, so a commit behind a JoinGroup is judged after it, by a generation that has ended, and
/// librdkafka takes that refusal for the loss of all partitions. Interceptors tell when such a time
/// begins and ends.
///
/// Without a group it reads all partitions of one topic, which it assigns to itself.
class RdConsumer final : public Consumer {
 public:
  RdConsumer(const Config& config, const ConsumerConfig& consumer, const Clock& clock,
             const Logger& logger);
  ~RdConsumer() override;

  Result<> open_group(std::string_view group, const std::vector<std::string>& topics);
  Result<> open_table(std::string_view topic);

  Result<> poll(std::chrono::milliseconds timeout, std::size_t max_records,
                RebalanceListener& listener, std::vector<RecordView>& out) override;
  void release() override { messages_.clear(); }
  Result<> begin(std::span<const StartPosition> positions) override;
  void pause(const TopicPartition& partition) override;
  void resume(const TopicPartition& partition) override;
  void commit(std::span<const CommitPoint> points) override;
  std::optional<Result<>> take_commit_result() override;
  Result<> commit_and_wait(std::span<const CommitPoint> points,
                           std::chrono::milliseconds timeout) override;
  std::optional<Offset> position(const TopicPartition& partition) const override;
  void refresh_end_offsets() override;
  std::optional<EndOffset> end_offset(const TopicPartition& partition) const override;
  Result<> close(RebalanceListener& listener, std::chrono::milliseconds timeout) override;

  /// For tests that look into librdkafka.
  rd_kafka_t& native() { return *client_; }

 private:
  /// A partition that is being read.
  struct Reading {
    bool should_pause = false;  // as pause() and resume() say
    bool is_paused = false;     // as librdkafka knows
    std::int64_t position = -1;
    std::optional<EndOffset> end{};
  };
  using ReadingMap = std::map<TopicPartition, Reading>;

  Result<> open(const Options& options, bool is_group);
  static rd_kafka_resp_err_t add_interceptors(rd_kafka_t* client, const rd_kafka_conf_t* conf,
                                              void* opaque, char* why, std::size_t why_size);
  void send_commit();
  Result<> assign_table(RebalanceListener& listener, std::chrono::milliseconds timeout);
  /// Begins partitions that the table's topic was given since.
  void take_up_new_partitions(RebalanceListener& listener);
  static void rebalance_callback(rd_kafka_t* client, rd_kafka_resp_err_t error,
                                 rd_kafka_topic_partition_list_t* partitions, void* opaque);
  void on_rebalance(rd_kafka_resp_err_t error, const rd_kafka_topic_partition_list_t& partitions);
  bool serve_until_left(MonoTime deadline);
  void take_away(std::span<const TopicPartition> partitions, bool is_lost);
  void apply_pauses(bool should_pause_all);
  Result<> take_held(std::size_t max_records, std::size_t& taken, std::vector<RecordView>& out);
  Result<> take(Message message, std::vector<RecordView>& out);
  RecordView view_of(const rd_kafka_message_t& message) const;
  Reading* find_reading(const rd_kafka_message_t& message);
  void collect_end_offsets();
  std::vector<TopicPartition> to_partitions(const rd_kafka_topic_partition_list_t& list) const;
  PartitionList to_list(std::span<const CommitPoint> points) const;

  const Config config_;
  const ConsumerConfig limits_;
  const Clock& clock_;
  const Logger& logger_;
  Opaque opaque_;
  std::string table_topic_;  // empty for a group
  bool is_table_assigned_ = false;
  MonoTime next_partition_look_{};  // of a table

  Client client_;
  Queue commits_;
  Queue end_offsets_;
  Queue leaving_;  // while close() is under way

  RebalanceListener* listener_ = nullptr;  // during poll and close
  ReadingMap reading_;
  std::pair<const TopicPartition, Reading>* last_reading_ = nullptr;  // records come in runs
  std::deque<Message> held_;       // came although nobody wanted records; first of the next poll
  std::vector<Message> messages_;  // behind the views handed out
  std::vector<CommitPoint> waiting_commit_;  // not sent, because the group is being joined
  bool is_commit_pending_ = false;           // waiting or sent
  bool is_commit_sent_ = false;
  std::atomic<bool> is_joining_{false};  // set by librdkafka's threads
  bool is_closed_ = false;
  std::optional<MonoTime> end_offsets_asked_at_;
};

}  // namespace sluice::kafka::rd
