#pragma once

#include "platform.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace sluice::front::testing {

/// A device under load that keeps a ledger: it publishes 1, 2, 3, … to its telemetry at QoS 1 with
/// a few unanswered at a time, connects again when its connection ends, and sends again, in order,
/// what was not acknowledged. Its thread runs until finish().
class LedgerDevice {
 public:
  /// `address` is asked before each connection: where the front is by now.
  LedgerDevice(Device device, std::function<std::string()> address);

  std::uint64_t acked() const { return acked_; }
  std::uint64_t sent() const { return sent_; }
  /// Begins nothing new, waits until everything sent is acknowledged, and ends.
  void finish();
  const Device& device() const { return device_; }

  /// What is wrong with the payloads that Kafka holds of this device; empty: nothing. All that was
  /// acknowledged is there, and the first record of each number comes in order.
  std::string faults_of(const std::vector<std::string>& payloads) const;

 private:
  void run();
  void converse(MqttClient& client);

  Device device_;
  std::function<std::string()> address_;
  std::set<std::uint64_t> unanswered_;  // of the thread
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> acked_{0};
  std::atomic<bool> is_finishing_{false};
  std::jthread thread_;
};

/// Some of them, each with a device of its own.
class Ledgers {
 public:
  Ledgers(Platform& platform, std::size_t count, const std::function<std::string()>& address);
  std::uint64_t acked() const;
  std::uint64_t sent() const;
  /// Waits until that many more are acknowledged.
  bool wait_for_acks(std::uint64_t more) const;
  /// Ends them and gives what is wrong with what Kafka holds; empty: nothing.
  std::string reconcile(const std::string& kafka_namespace);

 private:
  std::vector<std::unique_ptr<LedgerDevice>> devices_;
};

}  // namespace sluice::front::testing
