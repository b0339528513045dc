#include "contract.h"

#include <format>
#include <set>

#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gmock/gmock.h>

/// The two promises that everything else rests on, checked by a ledger: what was acknowledged is in
/// Kafka (I1), what was committed is durable (I2). The controls break each promise on purpose and
/// expect the same checkers to notice: a checker that cannot fail proves nothing.
namespace sluice::kafka::contract {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::unique_name;

using Violations = std::vector<std::string>;

// --- I1: acknowledged means stored
// ----------------------------------------------------------------

using WrapProducer = std::function<std::unique_ptr<Producer>(std::unique_ptr<Producer>)>;

/// A front that acknowledges what its producer completed, and dies while much is still on its way.
Violations acknowledge_and_crash(World& world, const WrapProducer& wrap) {
  const std::string topic = world.make_topic(1);
  std::set<std::string> acknowledged;
  {
    // The linger holds back what is sent last until after the crash.
    const auto producer = wrap(world.producer({.linger = 1s}));
    std::vector<Completion> completions;
    const auto acknowledge = [&] {
      for (const Completion& completion : completions) {
        if (!completion.failure) acknowledged.insert(std::format("{}", completion.token));
      }
      completions.clear();
    };
    const auto append = [&](int from, int to) {
      for (int i = from; i < to; ++i) {
        const std::string value = std::format("{}", i);
        EXPECT_TRUE(
            producer->try_append({.topic = topic, .value = value}, static_cast<std::uint64_t>(i)));
      }
      producer->poll(completions);
      acknowledge();
    };
    append(0, 20);
    EXPECT_TRUE(producer->flush(30s));
    producer->poll(completions);
    acknowledge();
    append(20, 40);
  }
  std::set<std::string> stored;
  for (const Seen& record : read_all(world, topic, 20)) stored.insert(*record.value);
  Violations violations;
  for (const std::string& value : acknowledged) {
    if (!stored.contains(value)) violations.push_back("acknowledged, not stored: " + value);
  }
  if (acknowledged.size() < 20) violations.push_back("stored, never acknowledged");
  return violations;
}

/// The planted bug: completes a record as soon as it is taken, and loses it in a crash.
class EagerProducer final : public Producer {
 public:
  explicit EagerProducer(std::unique_ptr<Producer> inner) : inner_(std::move(inner)) {}

  Result<> try_append(const Record& record, std::uint64_t token) override {
    eager_.push_back({.token = token});
    if (eager_.size() + acknowledged_ > 20) return {};  // still in a buffer when the crash comes
    return inner_->try_append(record, token);
  }
  std::size_t poll(std::vector<Completion>& out) override {
    std::vector<Completion> ignored;
    inner_->poll(ignored);
    out.insert(out.end(), eager_.begin(), eager_.end());
    acknowledged_ += eager_.size();
    return std::exchange(eager_, {}).size();
  }
  int wake_fd() const override { return inner_->wake_fd(); }
  void wait(std::chrono::milliseconds timeout) override { inner_->wait(timeout); }
  Result<> flush(std::chrono::milliseconds timeout) override { return inner_->flush(timeout); }
  std::size_t in_flight() const override { return inner_->in_flight(); }
  Result<std::int32_t> partition_count(std::string_view topic,
                                       std::chrono::milliseconds timeout) override {
    return inner_->partition_count(topic, timeout);
  }

 private:
  std::unique_ptr<Producer> inner_;
  std::vector<Completion> eager_;
  std::size_t acknowledged_ = 0;
};

TEST_P(LedgerContract, WhatIsAcknowledgedIsStored) {
  EXPECT_THAT(acknowledge_and_crash(*world_, [](auto producer) { return producer; }), IsEmpty());
}

TEST_P(LedgerContract, ControlAProducerThatAcknowledgesEarlyIsCaught) {
  EXPECT_THAT(
      acknowledge_and_crash(
          *world_, [](auto inner) { return std::make_unique<EagerProducer>(std::move(inner)); }),
      Not(IsEmpty()));
}

// --- I2: committed means durable
// ------------------------------------------------------------------

using WrapConsumer = std::function<std::unique_ptr<Consumer>(std::unique_ptr<Consumer>)>;

/// A writer that collects records in memory and stores them in batches, as all our sinks do.
class BatchingWriter final : public RecordHandler {
 public:
  explicit BatchingWriter(std::set<std::string>& durable) : durable_(durable) {}

  Result<> on_batch(std::span<const RecordView> records, ConsumerControl& control) override {
    for (const RecordView& record : records) {
      last_seen = record.offset;
      collected_.emplace_back(*record.value);
      if (collected_.size() < 7) continue;
      durable_.insert(collected_.begin(), collected_.end());
      collected_.clear();
      control.mark_durable(record.topic, record.partition, Offset(record.offset.value() + 1));
    }
    return {};
  }
  // Does not flush when it must go: what it has collected is lost with it, as in a crash.

  std::optional<Offset> last_seen;

 private:
  std::set<std::string>& durable_;
  std::vector<std::string> collected_;
};

/// Three lives of a writer over one topic; each ends with records that were read and not stored.
Violations write_with_interruptions(World& world, const WrapConsumer& wrap) {
  constexpr int kRecords = 40;
  const std::string topic = world.make_topic(1);
  const std::string group = unique_name("group");
  std::vector<std::string> values;
  for (int i = 0; i < kRecords; ++i) values.push_back(std::format("{}", i));
  std::vector<Record> records;
  for (const std::string& value : values)
    records.push_back({.topic = topic, .key = "k", .value = value});
  world.append(records);

  std::set<std::string> durable;
  for (int life = 0; life < 3; ++life) {
    BatchingWriter writer(durable);
    ConsumerConfig limits = quick_limits();
    limits.max_batch_records = 5;
    ConsumerLoop loop({.durability = Durability::kOnMark, .limits = limits}, world.clock,
                      world.random, world.logger, world.registry,
                      wrap(world.group_consumer(group, {topic})), writer);
    const std::size_t before = durable.size();
    const bool is_last = life == 2;
    eventually(
        [&] {
          static_cast<void>(loop.step(20ms));
          return is_last ? writer.last_seen == Offset(kRecords - 1) : durable.size() > before;
        },
        10s);
    loop.stop();
  }

  const auto lags = world.admin().group_lag(group, topic, 30s);
  EXPECT_TRUE(lags) << lags.error().message();
  const std::int64_t committed = kRecords - lags->front().records;
  Violations violations;
  for (std::int64_t i = 0; i < committed; ++i) {
    if (!durable.contains(std::format("{}", i))) {
      violations.push_back(std::format("committed, not durable: {}", i));
    }
  }
  if (committed < 35) violations.push_back("durable, never committed");
  return violations;
}

/// The planted bug: commits what was read, as consumers do whose client commits "automatically".
class EagerConsumer final : public Consumer {
 public:
  explicit EagerConsumer(std::unique_ptr<Consumer> inner) : inner_(std::move(inner)) {}

  Result<> poll(std::chrono::milliseconds timeout, std::size_t max_records,
                RebalanceListener& listener, std::vector<RecordView>& out) override {
    auto polled = inner_->poll(timeout, max_records, listener, out);
    for (const RecordView& record : out) {
      const CommitPoint point{{std::string(record.topic), record.partition},
                              Offset(record.offset.value() + 1)};
      static_cast<void>(inner_->commit_and_wait({&point, 1}, 10s));
    }
    return polled;
  }
  void release() override { inner_->release(); }
  Result<> begin(std::span<const StartPosition> positions) override {
    return inner_->begin(positions);
  }
  void pause(const TopicPartition& partition) override { inner_->pause(partition); }
  void resume(const TopicPartition& partition) override { inner_->resume(partition); }
  void commit(std::span<const CommitPoint>) override {}
  std::optional<Result<>> take_commit_result() override { return Result<>{}; }
  Result<> commit_and_wait(std::span<const CommitPoint>, std::chrono::milliseconds) override {
    return {};
  }
  std::optional<Offset> position(const TopicPartition& p) const override {
    return inner_->position(p);
  }
  void refresh_end_offsets() override { inner_->refresh_end_offsets(); }
  std::optional<EndOffset> end_offset(const TopicPartition& p) const override {
    return inner_->end_offset(p);
  }
  Result<> close(RebalanceListener& listener, std::chrono::milliseconds timeout) override {
    return inner_->close(listener, timeout);
  }

 private:
  std::unique_ptr<Consumer> inner_;
};

TEST_P(LedgerContract, WhatIsCommittedIsDurable) {
  EXPECT_THAT(write_with_interruptions(*world_, [](auto consumer) { return consumer; }), IsEmpty());
}

TEST_P(LedgerContract, ControlAConsumerThatCommitsBeforeDurableIsCaught) {
  EXPECT_THAT(
      write_with_interruptions(
          *world_, [](auto inner) { return std::make_unique<EagerConsumer>(std::move(inner)); }),
      Not(IsEmpty()));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LedgerContract);

}  // namespace
}  // namespace sluice::kafka::contract
