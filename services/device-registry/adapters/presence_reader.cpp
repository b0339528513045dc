#include "adapters/presence_reader.h"

#include "adapters/postgres_presence.h"
#include "adapters/presence_writer.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <sluice/base/backoff.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>

namespace sluice::registry {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGroup = "device-registry";
// Short, for a stop waits for it; what it asks for takes milliseconds.
constexpr std::chrono::milliseconds kTopicTimeout = 5s;

}  // namespace

struct PresenceReader::Impl {
  Impl(const Options& given, std::unique_ptr<kafka::TopicAdmin> topics, postgres::Pool& pool,
       const Clock& used_clock, Random& used_random, const Logger& logger, Registry& metrics)
      : options(given),
        clock(used_clock),
        random(used_random),
        log(logger),
        registry(metrics),
        admin(std::move(topics)),
        presence(pool),
        writer(presence, logger, metrics) {}

  /// A member of a group learns of a topic that is made later only minutes after, so the topic is
  /// found or made first.
  void begin(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;  // a wait that a stop ends
    Backoff backoff(
        {.base = options.consumer.retry_backoff, .cap = options.consumer.max_retry_backoff},
        random);
    while (!stop.stop_requested()) {
      const auto begun = join();
      if (begun) return;
      log.warning("device_events_not_read", begun.error());
      std::unique_lock lock(mutex);
      never.wait_for(lock, stop, backoff.next(), [] { return false; });
    }
  }

  Result<> join() {
    constexpr std::array kTopics{kafka::topics::kDeviceEvents};
    SLUICE_TRY(admin->ensure(kTopics, kTopicTimeout));
    SLUICE_TRY_ASSIGN(auto consumer,
                      kafka::open_group_consumer(options.kafka, options.consumer, kGroup,
                                                 {std::string(kTopics[0].name)}, clock, log));
    loop.emplace(kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnReturn,
                                              .limits = options.consumer},
                 clock, random, log, registry, std::move(consumer), writer);
    loop->start();
    return {};
  }

  void stop() {
    thread = {};  // asks it to end, and waits
    if (loop) loop->stop();
  }

  const Options options;
  const Clock& clock;
  Random& random;
  const Logger& log;
  Registry& registry;
  std::unique_ptr<kafka::TopicAdmin> admin;
  PostgresPresence presence;
  PresenceWriter writer;
  std::optional<kafka::ConsumerLoop> loop;  // of `thread` until that has ended
  std::jthread thread;
};

Result<std::unique_ptr<PresenceReader>> PresenceReader::open(const Options& options,
                                                             postgres::Pool& pool,
                                                             const Clock& clock, Random& random,
                                                             const Logger& log,
                                                             Registry& registry) {
  SLUICE_TRY_ASSIGN(auto admin, kafka::open_topic_admin(options.kafka, log));
  auto impl = std::make_unique<Impl>(options, std::move(admin), pool, clock, random, log, registry);
  impl->thread = std::jthread([&self = *impl](const std::stop_token& stop) { self.begin(stop); });
  return std::unique_ptr<PresenceReader>(new PresenceReader(std::move(impl)));
}

PresenceReader::PresenceReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PresenceReader::~PresenceReader() { impl_->stop(); }

void PresenceReader::stop() { impl_->stop(); }

}  // namespace sluice::registry
