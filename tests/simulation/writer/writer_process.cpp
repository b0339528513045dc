#include "writer/writer_process.h"

#include "adapters/write_handler.h"
#include "core/batch/flusher.h"
#include "core/batch/write_queue.h"
#include "world/sim_thread.h"
#include "writer/table_parts.h"

#include <optional>
#include <utility>

#include <sluice/kafka/consumer_loop.h>
#include <sluice/kafka/topics.h>

namespace sluice::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Backoff::Policy kRetry{.base = 50ms, .cap = 500ms};
constexpr Duration kHandOverTimeout = 3s;

kafka::ConsumerConfig consumer_config() {
  kafka::ConsumerConfig config;
  config.max_batch_records = 20;
  config.commit_interval = 200ms;
  config.retry_backoff = 10ms;
  config.max_retry_backoff = 500ms;
  return config;
}

}  // namespace

class WriterProcess::Threads final : private tsdb::WriteHandler::Writer {
 public:
  Threads(World& world, Cluster& cluster, Tables& tables, std::string name)
      : world_(world),
        cluster_(cluster),
        hot_(tables.parts().hot),
        name_(std::move(name)),
        random_(world.random.fork()),
        metrics_(registry_),
        queue_({.max_samples = kBatchSamples}, {}, tables.parts().dictionary, registry_, metrics_),
        handler_(world.clock, queue_, hot_, metrics_, *this),
        flusher_(kRetry, world.clock, random_, metrics_, hot_),
        reading_(world),
        writing_(world) {
    begin();
    reading_.later(world.hop(), [this] { step(); });
  }

  void freeze(Duration time) {
    reading_.freeze(time);
    writing_.freeze(time);
  }
  void restart() {
    reading_.later(0ns, [this] {
      loop_->stop();
      begin();
    });
  }
  bool is_busy() const { return reading_.is_busy() || writing_.is_busy(); }
  bool is_dead() const { return is_dead_; }
  std::size_t held_samples() const { return queue_.held_samples(); }

 private:
  void begin() {
    world_.trace.note("{} begins", name_);
    loop_.reset();
    loop_.emplace(kafka::ConsumerLoop::Options{.durability = kafka::Durability::kOnMark,
                                               .limits = consumer_config()},
                  world_.clock, random_, world_.log, registry_,
                  cluster_.consumer(kGroup, {std::string(kafka::topics::kTelemetryValid.name)}),
                  handler_);
  }

  void step() {
    static_cast<void>(loop_->step(0ms));
    reading_.later(world_.between(1ms, 15ms), [this] { step(); });
  }

  // The writing thread.

  void wake() override {
    if (!std::exchange(is_writing_, true)) writing_.later(10us, [this] { write(); });
  }
  /// The flush takes its time before it is committed, and its answer comes later still.
  void write() {
    const auto batch = queue_.to_write();
    if (!batch || is_dead_) {
      is_writing_ = false;
      return;
    }
    writing_.later(time_of_half_a_flush(), [this, batch] {
      const tsdb::FlushOutcome outcome = flusher_.attempt(*batch);
      writing_.later(time_of_half_a_flush() + outcome.wait, [this, outcome] { act(outcome); });
    });
  }
  void act(const tsdb::FlushOutcome& outcome) {
    if (outcome.next == tsdb::FlushOutcome::Next::kWritten) queue_.note_written();
    is_dead_ = outcome.next == tsdb::FlushOutcome::Next::kEnd;
    write();
  }
  Duration time_of_half_a_flush() {
    return world_.strikes(Fault::kSlowStore, 0.1) ? world_.between(100ms, 1500ms)
                                                  : world_.between(500us, 5ms);
  }

  void await() override {
    world_.run_until([this] { return queue_.waiting_batches() == 0; },
                     world_.clock.mono() + kHandOverTimeout);
  }

  World& world_;
  Cluster& cluster_;
  tsdb::HotStore& hot_;
  const std::string name_;
  testing::SimRandom random_;
  Registry registry_;
  tsdb::WriterMetrics metrics_;
  tsdb::WriteQueue queue_;
  tsdb::WriteHandler handler_;
  tsdb::Flusher flusher_;
  std::optional<kafka::ConsumerLoop> loop_;
  bool is_writing_ = false;
  bool is_dead_ = false;
  SimThread reading_;
  SimThread writing_;
};

WriterProcess::WriterProcess(World& world, Cluster& cluster, Tables& tables, std::string name)
    : threads_(std::make_unique<Threads>(world, cluster, tables, std::move(name))) {}
WriterProcess::~WriterProcess() = default;

void WriterProcess::freeze(Duration time) { threads_->freeze(time); }
void WriterProcess::restart() { threads_->restart(); }
bool WriterProcess::is_busy() const { return threads_->is_busy(); }
std::size_t WriterProcess::held_samples() const { return threads_->held_samples(); }
bool WriterProcess::is_dead() const { return threads_->is_dead(); }

}  // namespace sluice::simulation
