#include "rd_consumer.h"

#include <algorithm>
#include <cerrno>
#include <format>
#include <utility>

namespace sluice::kafka {

Result<std::unique_ptr<Consumer>> open_group_consumer(const Config& config,
                                                      const ConsumerConfig& consumer,
                                                      std::string_view group,
                                                      std::vector<std::string> topics,
                                                      const Clock& clock, const Logger& logger) {
  auto opened = std::make_unique<rd::RdConsumer>(config, consumer, clock, logger);
  SLUICE_TRY(opened->open_group(group, topics));
  return opened;
}

Result<std::unique_ptr<Consumer>> open_table_consumer(const Config& config,
                                                      const ConsumerConfig& consumer,
                                                      std::string_view topic, const Clock& clock,
                                                      const Logger& logger) {
  auto opened = std::make_unique<rd::RdConsumer>(config, consumer, clock, logger);
  SLUICE_TRY(opened->open_table(topic));
  return opened;
}

namespace rd {
namespace {

// An answer about the ends of partitions that takes longer is no longer of use.
constexpr int kEndOffsetsTimeoutMs = 10'000;

// Kafka's numbers of the requests with which a member joins its group.
constexpr std::int16_t kJoinGroup = 11;
constexpr std::int16_t kSyncGroup = 14;

// A member learns by a heartbeat that its group has a new member: how long a rebalance takes at
// least.
constexpr std::chrono::milliseconds kHeartbeat{1'000};

// A client's end waits for its commits, so these are given up when we do, instead of after a
// minute. Less than this would be too little for fetches, which wait at the broker.
constexpr std::chrono::milliseconds kMinSocketTimeout{2'000};

// How long a fetch may stay at the broker where records are not gathered, and how much ends the
// gathering: who has this much to read does not wait.
constexpr std::chrono::milliseconds kFetchWait{500};
constexpr Bytes kGathered = 256_KiB;

// How soon a table's new partitions are read, and how long their number is waited for, during which
// nothing else is.
constexpr std::chrono::seconds kPartitionLook{30};
constexpr std::chrono::milliseconds kMetadataTimeout{1'000};

// Longer than a client takes to leave its group once its commits are done or given up: librdkafka
// waits 5 s for that answer.
constexpr std::chrono::milliseconds kLeaveLimit{30'000};

rd_kafka_resp_err_t on_request_sent(rd_kafka_t*, int, const char*, std::int32_t, std::int16_t api,
                                    std::int16_t, std::int32_t, std::size_t, void* is_joining) {
  if (api == kJoinGroup) static_cast<std::atomic<bool>*>(is_joining)->store(true);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t on_response_received(rd_kafka_t*, int, const char*, std::int32_t,
                                         std::int16_t api, std::int16_t, std::int32_t, std::size_t,
                                         std::int64_t, rd_kafka_resp_err_t, void* is_joining) {
  if (api == kSyncGroup) static_cast<std::atomic<bool>*>(is_joining)->store(false);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::optional<std::string_view> find_header(const void* native, std::string_view name) {
  const auto* message = static_cast<const rd_kafka_message_t*>(native);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return std::nullopt;
  const void* value = nullptr;
  std::size_t size = 0;
  if (rd_kafka_header_get_last(headers, std::string(name).c_str(), &value, &size) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return std::nullopt;
  }
  return std::string_view(static_cast<const char*>(value), size);
}

/// Lets a group member be destroyed without close(). librdkafka keeps such a client alive until an
/// assignment that it has announced is answered (only a revocation it takes back by itself), and
/// nobody polls any more who could.
///
/// After a fatal error it announces nothing and joins no more, but settles rebalances by itself.
/// No other switch does that without leaving the group, and none leaves no gap: answering alone, a
/// further assignment may be announced before rd_kafka_destroy_flags() begins.
void settle_rebalances(rd_kafka_t& client) {
  rd_kafka_test_fatal_error(&client, RD_KAFKA_RESP_ERR__DESTROY, "destroyed without close");
  // Answers what was announced before. It passes through librdkafka's own thread and returns when
  // that is done with it, and so with whatever it was at before the error.
  const PartitionList none(rd_kafka_topic_partition_list_new(0));
  const KafkaError ignored(rd_kafka_incremental_assign(&client, none.get()));
}

}  // namespace

RdConsumer::RdConsumer(const Config& config, const ConsumerConfig& consumer, const Clock& clock,
                       const Logger& logger)
    : config_(config), limits_(consumer), clock_(clock), logger_(logger), opaque_{&logger, this} {}

RdConsumer::~RdConsumer() {
  last_reading_ = nullptr;
  held_.clear();
  messages_.clear();
  commits_.reset();
  end_offsets_.reset();
  if (!client_) return;
  // A close() that gave up goes on: destroyed just when it asks to leave, librdkafka drops that
  // request and waits for its answer for ever.
  if (leaving_) serve_until_left(clock_.mono() + limits_.commit_timeout + kLeaveLimit);
  leaving_.reset();
  if (table_topic_.empty() && rd_kafka_consumer_closed(client_.get()) == 0) {
    settle_rebalances(*client_);
  }
  // Without close() we vanish, as in a crash: the group finds out by itself.
  rd_kafka_destroy_flags(client_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

Result<> RdConsumer::open(const Options& options, bool is_group) {
  SLUICE_TRY_ASSIGN(Conf conf, make_conf(config_, opaque_, options));
  if (is_group) {
    rd_kafka_conf_set_rebalance_cb(conf.get(), rebalance_callback);
    rd_kafka_conf_interceptor_add_on_new(conf.get(), "join", add_interceptors, &is_joining_);
  }
  SLUICE_TRY_ASSIGN(client_, make_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(client_.get());
  commits_.reset(rd_kafka_queue_new(client_.get()));
  end_offsets_.reset(rd_kafka_queue_new(client_.get()));
  return {};
}

rd_kafka_resp_err_t RdConsumer::add_interceptors(rd_kafka_t* client, const rd_kafka_conf_t*,
                                                 void* is_joining, char*, std::size_t) {
  rd_kafka_interceptor_add_on_request_sent(client, "join", on_request_sent, is_joining);
  return rd_kafka_interceptor_add_on_response_received(client, "join", on_response_received,
                                                       is_joining);
}

Result<> RdConsumer::open_group(std::string_view group, const std::vector<std::string>& topics) {
  const bool gathers = limits_.fetch_gather.count() > 0;
  SLUICE_TRY(
      open({{"group.id", config_.name_space + std::string(group)},
            {"partition.assignment.strategy", "cooperative-sticky"},
            {"session.timeout.ms", std::format("{}", limits_.session_timeout.count())},
            {"heartbeat.interval.ms",
             std::format("{}", std::min(kHeartbeat, limits_.session_timeout / 3).count())},
            {"max.poll.interval.ms", std::format("{}", limits_.max_poll_interval.count())},
            {"socket.timeout.ms",
             std::format("{}", std::max(kMinSocketTimeout, limits_.commit_timeout).count())},
            {"enable.auto.commit", "false"},
            {"enable.auto.offset.store", "false"},
            {"auto.offset.reset", "earliest"},
            {"allow.auto.create.topics", "false"},
            {"enable.partition.eof", "true"},  // tells the position where nothing is to be read
            {"check.crcs", "true"},
            {"fetch.wait.max.ms",
             std::format("{}", (gathers ? limits_.fetch_gather : kFetchWait).count())},
            {"fetch.min.bytes", gathers ? std::format("{}", kGathered.count) : "1"},
            {"queued.max.messages.kbytes", std::format("{}", limits_.max_prefetch.count >> 10)}},
           true));
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const std::string& topic : topics) {
    add_to(*list, config_, {topic, Partition(RD_KAFKA_PARTITION_UA)});
  }
  const auto error = rd_kafka_subscribe(client_.get(), list.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(error_of(error, "subscribe"));
  return {};
}

Result<> RdConsumer::open_table(std::string_view topic) {
  table_topic_ = topic;
  // librdkafka wants a group's name to assign partitions by hand, though nothing of it reaches a
  // broker.
  return open({{"group.id", config_.client_id + "-tables"},
               {"enable.auto.commit", "false"},
               {"enable.auto.offset.store", "false"},
               {"auto.offset.reset", "earliest"},
               {"allow.auto.create.topics", "false"},
               {"enable.partition.eof", "true"},
               {"check.crcs", "true"},
               {"fetch.wait.max.ms", std::format("{}", kFetchWait.count())},
               {"queued.max.messages.kbytes", std::format("{}", limits_.max_prefetch.count >> 10)}},
              false);
}

Result<> RdConsumer::assign_table(RebalanceListener& listener, std::chrono::milliseconds timeout) {
  SLUICE_TRY_ASSIGN(const std::int32_t count,
                    partition_count(*client_, config_, table_topic_, timeout));
  std::vector<TopicPartition> partitions;
  for (std::int32_t i = 0; i < count; ++i) partitions.push_back({table_topic_, Partition(i)});
  const PartitionList list = make_list(config_, partitions);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
  const auto error = rd_kafka_assign(client_.get(), list.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(error_of(error, "assign"));
  for (const TopicPartition& partition : partitions) reading_.try_emplace(partition);
  is_table_assigned_ = true;
  next_partition_look_ = clock_.mono() + kPartitionLook;
  static_cast<void>(listener.on_assigned(partitions));
  return {};
}

// A consumer without a group is told of them by nobody.
void RdConsumer::take_up_new_partitions(RebalanceListener& listener) {
  if (clock_.mono() < next_partition_look_) return;
  next_partition_look_ = clock_.mono() + kPartitionLook;
  const auto count = partition_count(*client_, config_, table_topic_, kMetadataTimeout);
  const auto known = static_cast<std::int32_t>(reading_.size());
  if (!count || *count <= known) return;
  std::vector<TopicPartition> added;
  for (std::int32_t i = known; i < *count; ++i) added.push_back({table_topic_, Partition(i)});
  const PartitionList list = make_list(config_, added);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
  if (const KafkaError error{rd_kafka_incremental_assign(client_.get(), list.get())}) {
    logger_.error("kafka_assign_failed", error_of(*error, "assign"));
    return;
  }
  // Keys are in other partitions now than their earlier records, whose order is lost with that.
  logger_.error("kafka_table_partitions_added",
                {{"topic", table_topic_}, {"before", known}, {"now", *count}});
  for (const TopicPartition& partition : added) reading_.try_emplace(partition);
  std::vector<TopicPartition> all;
  for (const auto& [partition, reading] : reading_) all.push_back(partition);
  static_cast<void>(listener.on_assigned(all));
}

Result<> RdConsumer::poll(std::chrono::milliseconds timeout, std::size_t max_records,
                          RebalanceListener& listener, std::vector<RecordView>& out) {
  listener_ = &listener;
  if (!table_topic_.empty() && !is_table_assigned_) {
    // Metadata is the one thing we wait for besides records; with less than this a slow broker
    // never answers.
    SLUICE_TRY(assign_table(listener, std::max(timeout, kMetadataTimeout)));
  }
  if (!table_topic_.empty()) take_up_new_partitions(listener);
  collect_end_offsets();
  send_commit();
  apply_pauses(max_records == 0);

  if (max_records == 0) {
    Message message(rd_kafka_consumer_poll(client_.get(), to_ms(timeout)));
    if (!message) return {};
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) return take(std::move(message), out);
    held_.push_back(std::move(message));
    return {};
  }

  std::size_t taken = 0;
  Result<> result = take_held(max_records, taken, out);
  for (; taken < max_records; ++taken) {
    Message message(rd_kafka_consumer_poll(client_.get(), taken == 0 ? to_ms(timeout) : 0));
    if (!message) break;
    if (auto took = take(std::move(message), out); !took) result = took;
  }
  return result;
}

/// Hands out what came at a time when nothing was wanted, but for partitions that are paused by
/// now.
Result<> RdConsumer::take_held(std::size_t max_records, std::size_t& taken,
                               std::vector<RecordView>& out) {
  for (auto held = held_.begin(); held != held_.end() && taken < max_records;) {
    const Reading* reading = find_reading(**held);
    if (reading != nullptr && reading->should_pause) {
      ++held;
      continue;
    }
    Message message = std::move(*held);
    held = held_.erase(held);
    SLUICE_TRY(take(std::move(message), out));
    ++taken;
  }
  return {};
}

Result<> RdConsumer::take(Message message, std::vector<RecordView>& out) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (Reading* reading = find_reading(*message)) reading->position = message->offset;
    return {};
  }
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(Error(code_of(message->err), rd_kafka_message_errstr(message.get()))
                    .context("read from kafka")
                    .with_reason(rd_kafka_err2name(message->err)));
  }
  Reading* const reading = find_reading(*message);
  if (reading == nullptr)
    return {};  // of a partition that is no longer ours: its next owner reads it
  reading->position = message->offset + 1;
  out.push_back(view_of(*message));
  messages_.push_back(std::move(message));
  return {};
}

RecordView RdConsumer::view_of(const rd_kafka_message_t& message) const {
  RecordView view;
  view.topic = short_name(config_, rd_kafka_topic_name(message.rkt));
  view.partition = Partition(message.partition);
  view.offset = Offset(message.offset);
  if (message.key != nullptr) view.key = {static_cast<const char*>(message.key), message.key_len};
  if (message.payload != nullptr)
    view.value.emplace(static_cast<const char*>(message.payload), message.len);
  rd_kafka_timestamp_type_t type{};
  view.timestamp = WallTime(std::chrono::milliseconds(rd_kafka_message_timestamp(&message, &type)));
  view.find_header = find_header;
  view.native = &message;
  return view;
}

RdConsumer::Reading* RdConsumer::find_reading(const rd_kafka_message_t& message) {
  const std::string_view topic = short_name(config_, rd_kafka_topic_name(message.rkt));
  if (last_reading_ == nullptr || last_reading_->first.partition.value() != message.partition ||
      last_reading_->first.topic != topic) {
    const auto found = reading_.find({std::string(topic), Partition(message.partition)});
    if (found == reading_.end()) return nullptr;
    last_reading_ = &*found;
  }
  return &last_reading_->second;
}

void RdConsumer::rebalance_callback(rd_kafka_t*, rd_kafka_resp_err_t error,
                                    rd_kafka_topic_partition_list_t* partitions, void* opaque) {
  auto* self = static_cast<RdConsumer*>(static_cast<Opaque*>(opaque)->owner);
  self->on_rebalance(error, *partitions);
}

void RdConsumer::on_rebalance(rd_kafka_resp_err_t error,
                              const rd_kafka_topic_partition_list_t& list) {
  const std::vector<TopicPartition> partitions = to_partitions(list);
  if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    if (listener_ == nullptr || is_closed_) {
      const PartitionList none(rd_kafka_topic_partition_list_new(0));
      const KafkaError ignored(rd_kafka_incremental_assign(client_.get(), none.get()));
      return;
    }
    const std::vector<StartPosition> positions = listener_->on_assigned(partitions);
    if (auto begun = begin(positions); !begun) logger_.error("kafka_assign_failed", begun.error());
    return;
  }
  take_away(partitions, rd_kafka_assignment_lost(client_.get()) != 0);
}

void RdConsumer::take_away(std::span<const TopicPartition> partitions, bool is_lost) {
  if (listener_ != nullptr && !is_closed_) {
    if (is_lost) {
      listener_->on_lost(partitions);
    } else {
      listener_->on_revoked(partitions);
    }
  }
  std::vector<TopicPartition> begun;
  std::vector<TopicPartition> paused;
  for (const TopicPartition& partition : partitions) {
    if (const auto found = reading_.find(partition); found != reading_.end()) {
      begun.push_back(partition);
      if (found->second.is_paused) paused.push_back(partition);
      reading_.erase(found);
    }
    // Its next owner may be further by now: committing it late would take that back.
    std::erase_if(waiting_commit_,
                  [&](const CommitPoint& point) { return point.partition == partition; });
    std::erase_if(held_, [&](const Message& message) {
      return message->partition == partition.partition.value() &&
             short_name(config_, rd_kafka_topic_name(message->rkt)) == partition.topic;
    });
  }
  last_reading_ = nullptr;
  // librdkafka remembers a pause beyond the assignment: should the partition return, it would not
  // flow.
  if (!paused.empty()) rd_kafka_resume_partitions(client_.get(), make_list(config_, paused).get());
  const PartitionList list = make_list(config_, begun);
  if (const KafkaError error{rd_kafka_incremental_unassign(client_.get(), list.get())}) {
    logger_.error("kafka_unassign_failed", error_of(*error, "unassign"));
  }
}

Result<> RdConsumer::begin(std::span<const StartPosition> positions) {
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const StartPosition& start : positions) {
    rd_kafka_topic_partition_t* added = add_to(*list, config_, start.partition);
    added->offset = start.offset ? start.offset->value() : std::int64_t{RD_KAFKA_OFFSET_INVALID};
  }
  if (const KafkaError error{rd_kafka_incremental_assign(client_.get(), list.get())}) {
    return fail(error_of(*error, "assign"));
  }
  for (const StartPosition& start : positions) reading_.try_emplace(start.partition);
  return {};
}

void RdConsumer::pause(const TopicPartition& partition) {
  if (const auto found = reading_.find(partition); found != reading_.end()) {
    found->second.should_pause = true;  // applied by the next poll(), before which nothing comes
  }
}

void RdConsumer::resume(const TopicPartition& partition) {
  if (const auto found = reading_.find(partition); found != reading_.end()) {
    found->second.should_pause = false;
  }
}

void RdConsumer::apply_pauses(bool should_pause_all) {
  std::vector<TopicPartition> to_pause;
  std::vector<TopicPartition> to_resume;
  for (auto& [partition, reading] : reading_) {
    const bool should_pause = should_pause_all || reading.should_pause;
    if (should_pause == reading.is_paused) continue;
    reading.is_paused = should_pause;
    (should_pause ? to_pause : to_resume).push_back(partition);
  }
  if (!to_pause.empty())
    rd_kafka_pause_partitions(client_.get(), make_list(config_, to_pause).get());
  if (!to_resume.empty())
    rd_kafka_resume_partitions(client_.get(), make_list(config_, to_resume).get());
}

PartitionList RdConsumer::to_list(std::span<const CommitPoint> points) const {
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(points.size())));
  for (const CommitPoint& point : points) {
    add_to(*list, config_, point.partition)->offset = point.next.value();
  }
  return list;
}

namespace {

Result<> result_of_commit(rd_kafka_event_t& event) {
  if (const auto error = rd_kafka_event_error(&event); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(error_of(error, "commit offsets"));
  }
  const rd_kafka_topic_partition_list_t* list = rd_kafka_event_topic_partition_list(&event);
  for (int i = 0; list != nullptr && i < list->cnt; ++i) {
    if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(error_of(list->elems[i].err, "commit offsets"));
    }
  }
  return {};
}

}  // namespace

void RdConsumer::commit(std::span<const CommitPoint> points) {
  waiting_commit_.assign(points.begin(), points.end());
  is_commit_pending_ = true;
  is_commit_sent_ = false;
  send_commit();
}

void RdConsumer::send_commit() {
  if (waiting_commit_.empty() || is_joining_.load()) return;
  rd_kafka_commit_queue(client_.get(), to_list(waiting_commit_).get(), commits_.get(), nullptr,
                        nullptr);
  waiting_commit_.clear();
  is_commit_sent_ = true;
}

std::optional<Result<>> RdConsumer::take_commit_result() {
  if (!is_commit_pending_) return std::nullopt;
  if (!is_commit_sent_) {
    if (!waiting_commit_.empty()) return std::nullopt;
    is_commit_pending_ = false;  // all of its partitions have gone meanwhile
    return Result<>{};
  }
  const Event event(rd_kafka_queue_poll(commits_.get(), 0));
  if (!event) return std::nullopt;
  is_commit_pending_ = false;
  return result_of_commit(*event);
}

Result<> RdConsumer::commit_and_wait(std::span<const CommitPoint> points,
                                     std::chrono::milliseconds timeout) {
  // A queue of its own: an answer that comes too late must not be taken for another's.
  const Queue queue(rd_kafka_queue_new(client_.get()));
  rd_kafka_commit_queue(client_.get(), to_list(points).get(), queue.get(), nullptr, nullptr);
  const Event event(rd_kafka_queue_poll(queue.get(), to_ms(timeout)));
  if (!event) return fail(ErrorCode::kDeadlineExceeded, "commit offsets: no answer in time");
  return result_of_commit(*event);
}

std::optional<Offset> RdConsumer::position(const TopicPartition& partition) const {
  const auto found = reading_.find(partition);
  if (found == reading_.end() || found->second.position < 0) return std::nullopt;
  return Offset(found->second.position);
}

void RdConsumer::refresh_end_offsets() {
  collect_end_offsets();
  if (reading_.empty() || end_offsets_asked_at_) return;
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(reading_.size())));
  for (const auto& [partition, reading] : reading_) {
    add_to(*list, config_, partition)->offset = RD_KAFKA_OFFSET_SPEC_LATEST;
  }
  const AdminOptions options(
      rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_LISTOFFSETS));
  rd_kafka_AdminOptions_set_request_timeout(options.get(), kEndOffsetsTimeoutMs, nullptr, 0);
  end_offsets_asked_at_ = clock_.mono();
  rd_kafka_ListOffsets(client_.get(), list.get(), options.get(), end_offsets_.get());
}

void RdConsumer::collect_end_offsets() {
  if (!end_offsets_asked_at_) return;
  const Event event(rd_kafka_queue_poll(end_offsets_.get(), 0));
  if (!event) return;
  const MonoTime asked_at = *std::exchange(end_offsets_asked_at_, std::nullopt);
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  std::size_t count = 0;
  const rd_kafka_ListOffsetsResultInfo_t** infos =
      rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event.get()), &count);
  for (const auto* info : std::span(infos, count)) {
    const auto* end = rd_kafka_ListOffsetsResultInfo_topic_partition(info);
    if (end->err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const auto found =
        reading_.find({std::string(short_name(config_, end->topic)), Partition(end->partition)});
    if (found != reading_.end()) found->second.end = EndOffset{Offset(end->offset), asked_at};
  }
}

std::optional<EndOffset> RdConsumer::end_offset(const TopicPartition& partition) const {
  const auto found = reading_.find(partition);
  return found == reading_.end() ? std::nullopt : found->second.end;
}

Result<> RdConsumer::close(RebalanceListener& listener, std::chrono::milliseconds timeout) {
  if (is_closed_) return {};
  listener_ = &listener;
  const MonoTime join_deadline = clock_.mono() + timeout;
  std::vector<RecordView> unwanted;
  while (is_joining_.load() && !reading_.empty() && clock_.mono() < join_deadline) {
    static_cast<void>(poll(std::chrono::milliseconds(20), 0, listener, unwanted));
  }
  std::vector<TopicPartition> ours;
  for (const auto& [partition, reading] : reading_) ours.push_back(partition);
  // Told while all is as usual, so that commits work; what librdkafka says while it closes comes
  // too late.
  if (!ours.empty()) listener.on_revoked(ours);
  is_closed_ = true;

  leaving_.reset(rd_kafka_queue_new(client_.get()));
  if (const KafkaError error{rd_kafka_consumer_close_queue(client_.get(), leaving_.get())}) {
    leaving_.reset();
    return fail(error_of(*error, "leave group"));
  }
  // A deadline of its own: whatever the join and the handler's flush took, librdkafka must get its
  // chance: it takes our partitions away by itself, without a broker, and until that was answered
  // its end would wait for ever.
  if (!serve_until_left(clock_.mono() + timeout)) {
    return fail(ErrorCode::kDeadlineExceeded, "leave group: no answer in time");
  }
  leaving_.reset();
  reading_.clear();
  last_reading_ = nullptr;
  return {};
}

bool RdConsumer::serve_until_left(MonoTime deadline) {
  while (rd_kafka_consumer_closed(client_.get()) == 0) {
    // Rebalances come as events here; records that come still are not ours any more.
    constexpr int kStepMs = 50;
    const Event event(rd_kafka_queue_poll(leaving_.get(), kStepMs));
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
      on_rebalance(rd_kafka_event_error(event.get()),
                   *rd_kafka_event_topic_partition_list(event.get()));
    } else if (!event && clock_.mono() >= deadline) {
      return false;
    }
  }
  return true;
}

std::vector<TopicPartition> RdConsumer::to_partitions(
    const rd_kafka_topic_partition_list_t& list) const {
  std::vector<TopicPartition> partitions;
  for (int i = 0; i < list.cnt; ++i) {
    partitions.push_back({std::string(short_name(config_, list.elems[i].topic)),
                          Partition(list.elems[i].partition)});
  }
  return partitions;
}

}  // namespace rd
}  // namespace sluice::kafka
