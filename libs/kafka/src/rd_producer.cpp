#include "rd_producer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <format>
#include <limits>
#include <utility>

#include <sluice/base/check.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice::kafka {

Result<std::unique_ptr<Producer>> open_producer(const Config& config,
                                                const ProducerConfig& producer, const Clock& clock,
                                                Random& random, const Logger& logger,
                                                Registry& registry) {
  auto opened = std::make_unique<rd::RdProducer>(config, producer, clock, random, logger, registry);
  SLUICE_TRY(opened->open());
  return opened;
}

namespace rd {
namespace {

constexpr std::uint32_t kNoSlot = std::numeric_limits<std::uint32_t>::max();

// A topic costs librdkafka memory and metadata requests for ever; names come from operators, too.
constexpr std::size_t kMaxTopics = 1'000;

// Kafka allows idempotent producers five requests in flight per broker.
constexpr const char* kMaxRequestsInFlight = "5";

// Rebuilding helps against what happened once. What happens again at once is slowed down.
constexpr Backoff::Policy kRebuildBackoff{std::chrono::milliseconds(100),
                                          std::chrono::milliseconds(5'000)};

std::uint32_t slot_of(const rd_kafka_message_t& message) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(message._private));
}

void* opaque_of(std::uint32_t slot) { return reinterpret_cast<void*>(std::uintptr_t{slot}); }

// librdkafka takes what it copies as void*.
void* bytes_of(std::string_view text) {
  return const_cast<char*>(text.data() == nullptr ? "" : text.data());
}

std::size_t size_of(const Record& record) {
  std::size_t size = record.key.size() + record.value.value_or("").size();
  for (const Header& header : record.headers) size += header.name.size() + header.value.size();
  return size;
}

/// The arguments of rd_kafka_produceva, on the stack.
class Arguments {
 public:
  rd_kafka_vu_t& add(rd_kafka_vtype_t type) {
    SLUICE_CHECK(count_ < arguments_.size());
    rd_kafka_vu_t& argument = arguments_[count_++];
    argument.vtype = type;
    return argument;
  }
  void add_bytes(rd_kafka_vtype_t type, std::string_view bytes) {
    rd_kafka_vu_t& argument = add(type);
    argument.u.mem.ptr = bytes_of(bytes);
    argument.u.mem.size = bytes.size();
  }
  KafkaError produce(rd_kafka_t& client) {
    return KafkaError(rd_kafka_produceva(&client, arguments_.data(), count_));
  }

 private:
  std::array<rd_kafka_vu_t, 8> arguments_;
  std::size_t count_ = 0;
};

}  // namespace

RdProducer::Metrics::Metrics(Registry& r)
    : registry(r),
      in_flight_records(r.gauge("sluice_kafka_producer_in_flight_records",
                                "Records taken and not yet acknowledged or failed.")),
      in_flight_bytes(r.gauge("sluice_kafka_producer_in_flight_bytes",
                              "Bytes of keys, values and headers of those records.")),
      acked(r.counter("sluice_kafka_producer_acked_total",
                      "Records that all in-sync replicas have acknowledged.")),
      refused(r.counter("sluice_kafka_producer_refused_total",
                        "Records not taken because too much was in flight.")),
      rebuilds(
          r.counter("sluice_kafka_producer_rebuilds_total",
                    "Times the producer was rebuilt after a fatal error and sent again what was "
                    "unacknowledged.")),
      ack_latency(r.histogram("sluice_kafka_producer_ack_latency_seconds",
                              "Time from taking a record to its acknowledgement.",
                              latency_buckets_seconds())) {}

Counter RdProducer::Metrics::failed(ErrorCode code) const {
  return registry.counter("sluice_kafka_producer_failed_total",
                          "Records that were taken and could not be stored, by reason.",
                          {{"reason", std::string(to_string(code))}});
}

RdProducer::RdProducer(const Config& config, const ProducerConfig& producer, const Clock& clock,
                       Random& random, const Logger& logger, Registry& registry)
    : config_(config),
      limits_(producer),
      clock_(clock),
      logger_(logger),
      metrics_(registry),
      opaque_{&logger, this},
      free_slot_(kNoSlot),
      now_(clock.mono()),
      rebuild_backoff_(kRebuildBackoff, random) {}

RdProducer::~RdProducer() {
  if (client_) {
    // Undecided records are given up here; who minds calls flush() first.
    rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                      RD_KAFKA_PURGE_F_NON_BLOCKING);
  }
  in_flight_ = 0;
  in_flight_bytes_ = 0;
  report_gauges();
  topics_.clear();
  events_.reset();
  client_.reset();
  if (retiring_.joinable()) retiring_.join();  // until then it may ring the bell
  if (wake_fd_ >= 0) close(wake_fd_);
}

Result<> RdProducer::open() {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return fail(ErrorCode::kResourceExhausted, "eventfd: no more file descriptors");
  SLUICE_TRY_ASSIGN(client_, make_client());
  return {};
}

Result<Client> RdProducer::make_client() {
  // Our own bounds are reached first; librdkafka's are only kept out of the way.
  SLUICE_TRY_ASSIGN(
      Conf conf,
      make_conf(
          config_, opaque_,
          {{"enable.idempotence", "true"},
           {"acks", "all"},
           {"max.in.flight.requests.per.connection", kMaxRequestsInFlight},
           {"partitioner", "murmur2_random"},
           {"linger.ms", std::format("{}", limits_.linger.count())},
           {"batch.size", std::format("{}", limits_.batch.count)},
           {"message.max.bytes", std::format("{}", limits_.max_record.count + 512)},
           {"delivery.timeout.ms", std::format("{}", limits_.delivery_timeout.count())},
           {"request.timeout.ms",
            std::format("{}", std::min<std::int64_t>(limits_.delivery_timeout.count(), 30'000))},
           {"compression.codec", limits_.compression},
           {"queue.buffering.max.messages", "10000000"},
           {"queue.buffering.max.kbytes", "2147483647"}}));
  rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  SLUICE_TRY_ASSIGN(Client client, rd::make_client(RD_KAFKA_PRODUCER, std::move(conf)));
  events_.reset(rd_kafka_queue_get_main(client.get()));
  const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(events_.get(), wake_fd_, &one, sizeof one);
  return client;
}

Result<> RdProducer::try_append(const Record& record, std::uint64_t token) {
  if (is_rebuilding_) return fail(ErrorCode::kUnavailable, "kafka producer is being rebuilt");
  const std::size_t bytes = size_of(record);
  if (bytes > limits_.max_record.count) {
    return fail(
        ErrorCode::kInvalidArgument,
        std::format("record of {} bytes, at most {} are allowed", bytes, limits_.max_record.count));
  }
  if (in_flight_ >= static_cast<std::size_t>(limits_.max_in_flight_records) ||
      in_flight_bytes_ + bytes > limits_.max_in_flight.count) {
    metrics_.refused.add();
    return fail(ErrorCode::kResourceExhausted, "too many records in flight to kafka");
  }

  // Nobody needs to poll a producer that has nothing in flight, so its time may stand still.
  if (in_flight_ == 0) now_ = clock_.mono();
  const std::uint32_t slot = take_slot();
  slots_[slot].token = token;
  slots_[slot].sequence = next_sequence_++;
  slots_[slot].appended_at = now_;
  slots_[slot].bytes = static_cast<std::uint32_t>(bytes);
  if (auto produced = produce(record, slot); !produced) {
    free_slot(slot);
    return produced;
  }
  ++in_flight_;
  in_flight_bytes_ += bytes;
  return {};
}

Result<> RdProducer::produce(const Record& record, std::uint32_t slot) {
  SLUICE_TRY_ASSIGN(rd_kafka_topic_t* const topic, find_topic(record.topic));
  Arguments arguments;
  arguments.add(RD_KAFKA_VTYPE_RKT).u.rkt = topic;
  arguments.add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  arguments.add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = opaque_of(slot);
  if (!record.key.empty()) arguments.add_bytes(RD_KAFKA_VTYPE_KEY, record.key);
  if (record.value) arguments.add_bytes(RD_KAFKA_VTYPE_VALUE, *record.value);
  if (record.partition) arguments.add(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition->value();
  if (record.timestamp) {
    arguments.add(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = record.timestamp->time_since_epoch().count();
  }
  Headers headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(record.headers.size()));
    for (const Header& header : record.headers) {
      rd_kafka_header_add(headers.get(), header.name.data(),
                          static_cast<ssize_t>(header.name.size()), bytes_of(header.value),
                          static_cast<ssize_t>(header.value.size()));
    }
    arguments.add(RD_KAFKA_VTYPE_HEADERS).u.headers = headers.get();
  }

  const KafkaError error = arguments.produce(*client_);
  if (!error) {
    static_cast<void>(headers.release());  // the message owns them now
    return {};
  }
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    start_rebuild(code, rd_kafka_error_string(error.get()));
    return fail(ErrorCode::kUnavailable, "kafka producer is being rebuilt");
  }
  return fail(error_of(*error, "append to kafka"));
}

Result<rd_kafka_topic_t*> RdProducer::find_topic(std::string_view topic) {
  if (last_topic_ != nullptr && topic == last_topic_name_) return last_topic_;
  auto found = topics_.find(topic);
  if (found == topics_.end()) {
    if (topics_.size() >= kMaxTopics) {
      return fail(ErrorCode::kInvalidArgument, "too many different topics for one producer");
    }
    Topic handle(rd_kafka_topic_new(client_.get(), full_name(config_, topic).c_str(), nullptr));
    if (!handle) {
      const rd_kafka_resp_err_t error = rd_kafka_last_error();
      return fail(error_of(error, std::format("topic '{}'", topic)));
    }
    found = topics_.emplace(std::string(topic), std::move(handle)).first;
  }
  last_topic_name_ = topic;
  last_topic_ = found->second.get();
  return last_topic_;
}

std::uint32_t RdProducer::take_slot() {
  if (free_slot_ == kNoSlot) {
    slots_.emplace_back();
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  return std::exchange(free_slot_, slots_[free_slot_].next_free);
}

void RdProducer::free_slot(std::uint32_t slot) {
  slots_[slot].next_free = std::exchange(free_slot_, slot);
}

std::size_t RdProducer::poll(std::vector<Completion>& out) {
  const std::size_t before = out.size();
  out.insert(out.end(), ready_.begin(), ready_.end());
  ready_.clear();
  collect(out);
  report_gauges();
  return out.size() - before;
}

void RdProducer::collect(std::vector<Completion>& out) {
  now_ = clock_.mono();
  // Reset before looking: what comes while we look rings again.
  std::uint64_t rings = 0;
  static_cast<void>(!read(wake_fd_, &rings, sizeof rings));
  while (const Event event{rd_kafka_queue_poll(events_.get(), 0)}) {
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_DR:
        while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
          on_delivered(*message, out);
        }
        break;
      case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error_is_fatal(event.get()) != 0) {
          start_rebuild(rd_kafka_event_error(event.get()),
                        rd_kafka_event_error_string(event.get()));
        } else {
          logger_.debug("kafka_producer_error",
                        {{"error", rd_kafka_event_error_string(event.get())}});
        }
        break;
      default:
        break;
    }
  }
  if (is_rebuilding_) continue_rebuild(out);
}

void RdProducer::on_delivered(const rd_kafka_message_t& message, std::vector<Completion>& out) {
  const std::uint32_t slot = slot_of(message);
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    out.push_back({.token = slots_[slot].token,
                   .partition = Partition(message.partition),
                   .offset = Offset(message.offset)});
    metrics_.acked.add();
    // librdkafka has measured it anyway, in microseconds.
    metrics_.ack_latency.observe(static_cast<double>(rd_kafka_message_latency(&message)) * 1e-6);
    --in_flight_;
    in_flight_bytes_ -= slots_[slot].bytes;
    free_slot(slot);
    return;
  }
  if (should_send_again(message)) {
    keep(message, slot);
    return;
  }
  const bool may_be_stored = rd_kafka_message_status(&message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
  logger_.debug("kafka_record_failed",
                {{"topic", short_name(config_, rd_kafka_topic_name(message.rkt))},
                 {"error", rd_kafka_err2name(message.err)},
                 {"may_be_stored", may_be_stored}});
  complete_failed(slot, code_of(message.err), may_be_stored, out);
}

void RdProducer::complete_failed(std::uint32_t slot, ErrorCode code, bool may_be_stored,
                                 std::vector<Completion>& out) {
  out.push_back({.token = slots_[slot].token, .failure = code, .may_be_stored = may_be_stored});
  metrics_.failed(code).add();
  --in_flight_;
  in_flight_bytes_ -= slots_[slot].bytes;
  free_slot(slot);
}

/// A record that failed because the client broke, and not for a reason of its own.
bool RdProducer::should_send_again(const rd_kafka_message_t& message) {
  if (!is_rebuilding_) {
    std::array<char, 256> reason{};
    const auto fatal = rd_kafka_fatal_error(client_.get(), reason.data(), reason.size());
    if (fatal == RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    start_rebuild(fatal, reason.data());
  }
  const ErrorCode code = code_of(message.err);
  const bool is_its_own = code == ErrorCode::kInvalidArgument ||
                          code == ErrorCode::kPermissionDenied || code == ErrorCode::kNotFound;
  return !is_its_own && now_ - slots_[slot_of(message)].appended_at < limits_.delivery_timeout;
}

void RdProducer::keep(const rd_kafka_message_t& message, std::uint32_t slot) {
  rd_kafka_timestamp_type_t type{};
  Returned record{
      .slot = slot,
      .sequence = slots_[slot].sequence,
      .topic = std::string(short_name(config_, rd_kafka_topic_name(message.rkt))),
      // Where it was going already: the order of a key must not depend on when we broke.
      .partition = message.partition,
      .key = {},
      .value = {},
      .headers = {},
      .timestamp_ms = rd_kafka_message_timestamp(&message, &type)};
  if (message.key != nullptr)
    record.key.assign(static_cast<const char*>(message.key), message.key_len);
  if (message.payload != nullptr) {
    record.value.emplace(static_cast<const char*>(message.payload), message.len);
  }
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    record.headers.reset(rd_kafka_headers_copy(headers));
  }
  returned_.push_back(std::move(record));
}

void RdProducer::start_rebuild(rd_kafka_resp_err_t error, const char* reason) {
  if (is_rebuilding_) return;
  is_rebuilding_ = true;
  metrics_.rebuilds.add();
  logger_.warning(
      "kafka_producer_rebuild",
      {{"code", rd_kafka_err2name(error)}, {"reason", reason}, {"unacknowledged", in_flight_}});
  // Makes the client hand back everything it has, also what it waits for an answer to.
  rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                    RD_KAFKA_PURGE_F_NON_BLOCKING);
}

void RdProducer::continue_rebuild(std::vector<Completion>& out) {
  // The thread that ends the client before this one must be done, or we would wait for it below.
  if (returned_.size() < in_flight_ || now_ < rebuild_not_before_ || is_retiring_.load()) return;

  topics_.clear();
  last_topic_ = nullptr;
  Queue old_events = std::move(events_);
  auto client = make_client();
  if (!client) {
    events_ = std::move(old_events);
    logger_.error("kafka_producer_rebuild_failed", client.error());
    rebuild_not_before_ = now_ + rebuild_backoff_.next();
    return;
  }
  old_events.reset();
  // Ending the old client waits for its threads, which is not for our owner to do.
  is_retiring_.store(true);
  retiring_ = std::jthread([this, old = std::move(client_)]() mutable {
    old.reset();
    is_retiring_.store(false);
  });
  client_ = std::move(*client);

  std::ranges::sort(returned_, {}, &Returned::sequence);
  for (Returned& record : returned_) {
    const KafkaError error = resend(record);
    if (error) {
      complete_failed(record.slot, code_of(rd_kafka_error_code(error.get())), true, out);
    } else {
      static_cast<void>(record.headers.release());  // the message owns them now
    }
  }
  returned_.clear();
  is_rebuilding_ = false;
  rebuild_not_before_ = now_ + rebuild_backoff_.next();
}

KafkaError RdProducer::resend(const Returned& record) {
  auto topic = find_topic(record.topic);
  if (!topic) return KafkaError(rd_kafka_error_new(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, nullptr));
  Arguments arguments;
  arguments.add(RD_KAFKA_VTYPE_RKT).u.rkt = *topic;
  arguments.add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  arguments.add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = opaque_of(record.slot);
  arguments.add(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition;
  arguments.add(RD_KAFKA_VTYPE_TIMESTAMP).u.i64 = record.timestamp_ms;
  if (!record.key.empty()) arguments.add_bytes(RD_KAFKA_VTYPE_KEY, record.key);
  if (record.value) arguments.add_bytes(RD_KAFKA_VTYPE_VALUE, *record.value);
  if (record.headers) arguments.add(RD_KAFKA_VTYPE_HEADERS).u.headers = record.headers.get();
  return arguments.produce(*client_);
}

void RdProducer::wait(std::chrono::milliseconds timeout) {
  pollfd ring{.fd = wake_fd_, .events = POLLIN, .revents = 0};
  static_cast<void>(::poll(&ring, 1, to_ms(timeout)));
}

Result<> RdProducer::flush(std::chrono::milliseconds timeout) {
  const MonoTime deadline = clock_.mono() + timeout;
  while (true) {
    collect(ready_);
    report_gauges();
    if (in_flight_ == 0) return {};
    if (now_ >= deadline) {
      return fail(ErrorCode::kDeadlineExceeded,
                  std::format("{} records are still unacknowledged by kafka", in_flight_));
    }
    // Not longer at once than this, because a rebuild that is backing off rings no bell.
    constexpr std::chrono::milliseconds kStep{100};
    wait(std::min(kStep, std::chrono::ceil<std::chrono::milliseconds>(deadline - now_)));
  }
}

Result<std::int32_t> RdProducer::partition_count(std::string_view topic,
                                                 std::chrono::milliseconds timeout) {
  return rd::partition_count(*client_, config_, topic, timeout);
}

void RdProducer::report_gauges() {
  // By difference, so that several producers of a process add up.
  const auto records = static_cast<double>(in_flight_);
  const auto bytes = static_cast<double>(in_flight_bytes_);
  metrics_.in_flight_records.add(records - std::exchange(reported_records_, records));
  metrics_.in_flight_bytes.add(bytes - std::exchange(reported_bytes_, bytes));
}

}  // namespace rd
}  // namespace sluice::kafka
