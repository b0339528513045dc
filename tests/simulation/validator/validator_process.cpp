#include "validator/validator_process.h"

#include "adapters/raw_handler.h"
#include "core/pipeline.h"
#include "world/sim_thread.h"

#include <optional>
#include <utility>

#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/topics.h>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

validator::RawHandler::Options handler_options() {
  validator::RawHandler::Options options;
  options.stream.max_devices = 100;
  options.filter_capacity = 1024;  // a large one would cost more than all the rest of a run
  options.max_in_flight = ValidatorProcess::kMaxInFlight;
  options.state_interval = 300ms;
  options.restore_timeout = 1s;
  options.flush_timeout = 2s;
  return options;
}

kafka::ProducerConfig producer_config() {
  kafka::ProducerConfig config;
  // A record becomes several outputs at most, and states come on top.
  config.max_in_flight_records = 4 * ValidatorProcess::kMaxInFlight;
  config.delivery_timeout = 5s;
  return config;
}

kafka::ConsumerConfig consumer_config() {
  kafka::ConsumerConfig config;
  config.max_batch_records = 20;
  config.commit_interval = 200ms;
  config.retry_backoff = 10ms;
  config.max_retry_backoff = 500ms;
  return config;
}

}  // namespace

class ValidatorProcess::Worker {
 public:
  Worker(World& world, Cluster& cluster, std::string name)
      : world_(world),
        cluster_(cluster),
        name_(std::move(name)),
        random_(world.random.fork()),
        metrics_(registry_),
        pipeline_metrics_(registry_),
        thread_(world) {
    begin();
    thread_.later(world.hop(), [this] { step(); });
  }

  SimThread& thread() { return thread_; }
  void restart() {
    thread_.later(0ns, [this] { begin_anew(); });
  }

 private:
  void begin() {
    world_.trace.note("{} begins", name_);
    handler_.emplace(
        handler_options(), world_.clock, world_.log, metrics_, catalogue_,
        validator::RawHandler::Parts{.producer = cluster_.producer(name_, producer_config()),
                                     .states = cluster_.partition_reader(),
                                     .judge = std::make_unique<validator::Pipeline>(
                                         validator::PipelineSettings{}, pipeline_metrics_)});
    loop_.emplace(kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnMark,
                                               .limits = consumer_config()},
                  world_.clock, random_, world_.log, registry_,
                  cluster_.consumer(kGroup, {std::string(kafka::topics::kTelemetryRaw.name)}),
                  *handler_);
  }

  /// As RawWorkers does with a handler that is broken.
  void begin_anew() {
    loop_->stop();
    loop_.reset();
    handler_.reset();
    begin();
  }

  void step() {
    static_cast<void>(loop_->step(0ms));
    if (handler_->is_broken()) begin_anew();
    thread_.later(world_.between(1ms, 15ms), [this] { step(); });
  }

  World& world_;
  Cluster& cluster_;
  const std::string name_;
  testing::SimRandom random_;
  Registry registry_;
  validator::RawMetrics metrics_;
  validator::PipelineMetrics pipeline_metrics_;
  validator::CatalogueHolder catalogue_;
  std::optional<validator::RawHandler> handler_;
  std::optional<kafka::ConsumerLoop> loop_;
  SimThread thread_;  // last: nothing comes once it is gone
};

ValidatorProcess::ValidatorProcess(World& world, Cluster& cluster, std::string name)
    : worker_(std::make_unique<Worker>(world, cluster, std::move(name))) {}
ValidatorProcess::~ValidatorProcess() = default;

void ValidatorProcess::freeze(Duration time) { worker_->thread().freeze(time); }
void ValidatorProcess::restart() { worker_->restart(); }
bool ValidatorProcess::is_busy() const { return worker_->thread().is_busy(); }

}  // namespace sluice::simulation
