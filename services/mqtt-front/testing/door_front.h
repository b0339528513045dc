#pragma once

#include "core/broker.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/ingest/topic_map.h>
#include <sluice/metrics/metrics.h>

namespace sluice::front::testing {

/// A front without sockets: real brokers on threads of their own, with devices that speak MQTT into
/// them. All devices are of the tenant "acme"; whoever connects is believed. Sessions end with
/// their connections. Thread-safe.
class DoorFront {
 public:
  using Task = std::move_only_function<void(Broker&)>;

  DoorFront(std::size_t loops, const Clock& clock);
  ~DoorFront();  // ends the threads; tasks that have not run are destroyed

  std::size_t size() const;
  void post(std::size_t loop, Task task);
  /// For FrontLoops.
  std::vector<std::function<void(Task)>> posts();
  /// Runs it on the loop and waits for it.
  template <typename T>
  T ask(std::size_t loop, std::move_only_function<T(Broker&)> question) {
    std::promise<T> promise;
    post(loop, [&](Broker& broker) { promise.set_value(question(broker)); });
    return promise.get_future().get();
  }

  /// Lets the loops do nothing until release().
  void hold();
  void release();
  /// Returns when everything posted before has run.
  void settle();

  /// To be set while nothing happens; until then neighbours answer kUnavailable.
  void set_neighbours(std::size_t loop, Neighbours& neighbours);
  /// Where the store says that a session is that nobody holds here.
  void place(const SessionKey& key, SessionStore::Place place);
  /// A claim of it waits until finish_claims(): the session is between two connections.
  void hold_claims();
  void finish_claims();

  /// From now on the store outlives the process and takes no message: for devices that connect
  /// then.
  void refuse_deliveries();

  static SessionKey key_of(std::string_view device) { return session_key("acme", device); }
  std::size_t loop_of(std::string_view device) const;
  struct Hello {
    std::uint32_t session_expiry_seconds = 0;
    std::uint16_t receive_maximum = 100;
  };
  /// Connects the device, which subscribes to its own commands.
  void connect(const std::string& device) { connect(device, Hello()); }
  void connect(const std::string& device, const Hello& hello);
  bool is_connected(const std::string& device);
  /// Whether the device was sent something that holds the text.
  bool was_sent(const std::string& device, std::string_view text);
  /// Everything it was sent.
  std::string output_of(const std::string& device);
  /// Messages that went to the store's queues, and to other fronts.
  std::size_t enqueued() const;
  std::size_t forwarded() const;

  Registry registry;
  const ingest::TopicMap topics;

 private:
  struct Loop;
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace sluice::front::testing
