#include "adapters/control_tables.h"

#include "core/broker.h"
#include "core/device_change.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sluice/device/v1/device_change.pb.h>
#include <sluice/kafka/table_reader.h>
#include <sluice/kafka/topics.h>
#include <sluice/limits/v1/limit_change.pb.h>

namespace sluice::front {
namespace {

// Wait after an error of Kafka's client: it reconnects by itself, we only must not spin meanwhile.
constexpr std::chrono::milliseconds kErrorPause{500};
// Batches that may wait at each loop: enough that it never waits for the reader.
constexpr std::size_t kBatchesPerLoop = 4;

/// Counts the batches that loops have not taken yet. Owned by the table and by each of them.
class Window {
 public:
  explicit Window(std::size_t size) : size_(size) {}

  void enter() {
    const std::lock_guard lock(mutex_);
    ++used_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    --used_;
    left_.notify_all();
  }
  void wait_for_room(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    left_.wait(lock, stop, [this] { return used_ < size_; });
  }

 private:
  const std::size_t size_;
  std::mutex mutex_;
  std::condition_variable_any left_;
  std::size_t used_ = 0;
};

/// One batch's place in the window; given back with the task, whether that ran or was destroyed.
class Place {
 public:
  explicit Place(std::shared_ptr<Window> window) : window_(std::move(window)) { window_->enter(); }
  Place(Place&&) = default;
  Place& operator=(Place&&) = delete;
  ~Place() {
    if (window_) window_->leave();
  }

 private:
  std::shared_ptr<Window> window_;
};

template <typename Message>
bool parse(std::string_view value, Message& message) {
  return value.size() <= std::numeric_limits<int>::max() &&
         message.ParseFromArray(value.data(), static_cast<int>(value.size()));
}

}  // namespace

/// One topic and its thread.
class ControlTables::Table : private kafka::TableHandler {
 public:
  Table(std::string_view topic, std::unique_ptr<kafka::Consumer> consumer,
        const kafka::ConsumerConfig& limits, const Clock& clock, const Logger& log,
        Registry& registry, FrontLoops loops)
      : loops_(std::move(loops)),
        unusable_(registry.counter("sluice_mqtt_control_records_unusable_total",
                                   "Records of control topics that make no sense.",
                                   {{"topic", std::string(topic)}})),
        topic_(topic),
        log_(log),
        fetch_wait_(limits.fetch_wait),
        window_(std::make_shared<Window>(kBatchesPerLoop * loops_.size())),
        reader_({.topic = topic_, .limits = limits}, clock, log, registry, std::move(consumer),
                *this) {}

  void start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  /// Before anything that on_change() uses is destroyed.
  void stop() {
    thread_ = {};  // asks it to end, and waits
  }

  bool caught_up() const { return caught_up_.load(std::memory_order_acquire); }
  std::optional<std::chrono::milliseconds> staleness() const { return reader_.staleness(); }

 protected:
  ~Table() override = default;

  /// Gives the loops what has gathered since it was last called.
  virtual void hand_over() = 0;
  void post(std::size_t loop, FrontLoops::Task task) {
    loops_.post(loop, [task = std::move(task), place = Place(window_)](Broker& broker) mutable {
      task(broker);
    });
  }

  const FrontLoops loops_;
  Counter unusable_;

 private:
  void run(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;  // a wait that a stop ends
    while (!stop.stop_requested()) {
      window_->wait_for_room(stop);
      const auto stepped = reader_.step(fetch_wait_);
      hand_over();
      if (reader_.caught_up()) caught_up_.store(true, std::memory_order_release);
      if (stepped) continue;
      log_.warning("kafka_table_error", stepped.error(), {{"topic", topic_}});
      std::unique_lock lock(mutex);
      never.wait_for(lock, stop, kErrorPause, [] { return false; });
    }
  }

  const std::string topic_;
  const Logger& log_;
  const std::chrono::milliseconds fetch_wait_;
  const std::shared_ptr<Window> window_;  // shared with tasks that wait at loops
  std::atomic<bool> caught_up_{false};    // and handed over
  kafka::TableReader reader_;
  std::jthread thread_;
};

/// control.devices. The cache hears of each record at once: an identity that is handed out a moment
/// later must not be an old one.
class ControlTables::Devices final : public Table {
 public:
  Devices(std::unique_ptr<kafka::Consumer> consumer, const kafka::ConsumerConfig& limits,
          const Clock& clock, const Logger& log, Registry& registry, IdentityCache& cache,
          FrontLoops loops)
      : Table(kafka::topics::kControlDevices.name, std::move(consumer), limits, clock, log,
              registry, std::move(loops)),
        cache_(cache) {}

 private:
  /// Who is concerned: the owner of the device's session, or everybody.
  static constexpr std::size_t kAllLoops = ~std::size_t{0};
  struct Entry {
    std::size_t loop = kAllLoops;
    DeviceChange change{};
  };

  void on_change(const kafka::RecordView& record) override {
    device::v1::DeviceChange value;
    if (record.value && !parse(*record.value, value)) return unusable_.add();
    auto change = read_device_change(record.key, record.value ? &value : nullptr);
    if (!change) return unusable_.add();
    if (!cache_.on_change(*change)) return;  // a later state is known, to the loops as well
    const bool is_of_device = change->scope == DeviceChange::Scope::kDevice;
    const std::size_t loop =
        is_of_device ? loops_.owner_of(session_key(change->tenant, change->name)) : kAllLoops;
    gathered_.push_back({.loop = loop, .change = *std::move(change)});
  }

  void hand_over() override {
    if (gathered_.empty()) return;
    const auto batch =  // owned by the loops' tasks
        std::make_shared<const std::vector<Entry>>(std::exchange(gathered_, {}));
    for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
      const auto is_for_it = [loop](const Entry& entry) {
        return entry.loop == loop || entry.loop == kAllLoops;
      };
      if (std::ranges::none_of(*batch, is_for_it)) continue;
      post(loop, [batch, is_for_it](Broker& broker) {
        for (const Entry& entry : *batch) {
          if (is_for_it(entry)) broker.on_change(entry.change);
        }
      });
    }
  }

  IdentityCache& cache_;
  std::vector<Entry> gathered_;
};

/// control.limits.
class ControlTables::Limits final : public Table {
 public:
  Limits(std::unique_ptr<kafka::Consumer> consumer, const kafka::ConsumerConfig& limits,
         const Clock& clock, const Logger& log, Registry& registry, FrontLoops loops)
      : Table(kafka::topics::kControlLimits.name, std::move(consumer), limits, clock, log, registry,
              std::move(loops)) {}

 private:
  struct Entry {
    std::string tenant{};
    std::optional<limits::v1::LimitChange> change{};
  };

  void on_change(const kafka::RecordView& record) override {
    Entry entry{.tenant = std::string(record.key)};
    if (record.value) {
      entry.change.emplace();
      if (!parse(*record.value, *entry.change) || entry.change->tenant() != entry.tenant) {
        return unusable_.add();
      }
    }
    gathered_.push_back(std::move(entry));
  }

  void hand_over() override {
    if (gathered_.empty()) return;
    const auto batch =  // owned by the loops' tasks
        std::make_shared<const std::vector<Entry>>(std::exchange(gathered_, {}));
    for (std::size_t loop = 0; loop < loops_.size(); ++loop) {
      post(loop, [batch, loop, unusable = unusable_](Broker& broker) mutable {
        for (const Entry& entry : *batch) {
          const auto applied =
              broker.on_limit(entry.tenant, entry.change ? &*entry.change : nullptr);
          // All loops think the same of it; one counts.
          if (!applied && loop == 0) unusable.add();
        }
      });
    }
  }

  std::vector<Entry> gathered_;
};

Result<std::unique_ptr<ControlTables>> ControlTables::open(const kafka::Config& kafka,
                                                           const kafka::ConsumerConfig& limits,
                                                           const Clock& clock, const Logger& log,
                                                           Registry& registry, IdentityCache& cache,
                                                           FrontLoops loops) {
  Consumers consumers;
  SLUICE_TRY_ASSIGN(
      consumers.devices,
      kafka::open_table_consumer(kafka, limits, kafka::topics::kControlDevices.name, clock, log));
  SLUICE_TRY_ASSIGN(
      consumers.limits,
      kafka::open_table_consumer(kafka, limits, kafka::topics::kControlLimits.name, clock, log));
  return std::make_unique<ControlTables>(std::move(consumers), limits, clock, log, registry, cache,
                                         std::move(loops));
}

ControlTables::ControlTables(Consumers consumers, const kafka::ConsumerConfig& limits,
                             const Clock& clock, const Logger& log, Registry& registry,
                             IdentityCache& cache, FrontLoops loops)
    : devices_(std::make_unique<Devices>(std::move(consumers.devices), limits, clock, log, registry,
                                         cache, loops)),
      limits_(std::make_unique<Limits>(std::move(consumers.limits), limits, clock, log, registry,
                                       std::move(loops))) {}

ControlTables::~ControlTables() { stop(); }

void ControlTables::start() {
  devices_->start();
  limits_->start();
}

void ControlTables::stop() {
  devices_->stop();
  limits_->stop();
}

bool ControlTables::caught_up() const { return devices_->caught_up() && limits_->caught_up(); }

std::optional<std::chrono::milliseconds> ControlTables::staleness() const {
  const auto devices = devices_->staleness();
  const auto limits = limits_->staleness();
  if (!devices || !limits) return std::nullopt;
  return std::max(*devices, *limits);
}

}  // namespace sluice::front
