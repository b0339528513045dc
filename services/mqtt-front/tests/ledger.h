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

/// How often Kafka may hold a message of QoS 2. One of QoS 1 may be there again after each of its
/// device's reconnections.
enum class Qos2Records : std::uint8_t {
  kOnce,  // the front lived on, and so did its session store
  kMaybeTwice,
};

/// A device under load that keeps a ledger: it publishes 1, 2, 3, … to its telemetry with a few
/// unanswered at a time, connects again when its connection ends, and sends again, in order, what
/// was not acknowledged; with QoS 2 in a session that outlives its connections. Its thread runs
/// until finish().
class LedgerDevice {
 public:
  /// `address` is asked before each connection: where the front is by now.
  LedgerDevice(Device device, mqtt::Qos qos, std::uint64_t packet_ids,
               std::function<std::string()> address);

  /// PUBACK or PUBREC came: it must be in Kafka.
  std::uint64_t acked() const { return acked_; }
  std::uint64_t sent() const { return sent_; }
  /// Ends the present connection without a word, with whatever is under way; it connects again.
  void cut() { is_cut_ = true; }
  /// Begins nothing new, waits until everything sent is acknowledged, and ends.
  void finish();
  const Device& device() const { return device_; }

  /// What is wrong with the payloads that Kafka holds of this device; empty: nothing. All that was
  /// acknowledged is there, and the first record of each number comes in order.
  std::string faults_of(const std::vector<std::string>& payloads, Qos2Records qos2) const;

 private:
  bool is_done() const { return is_finishing_ && unanswered_.empty() && unreleased_.empty(); }
  void run();
  void converse(MqttClient& client);
  std::uint16_t packet_id_of(std::uint64_t number) const;
  /// False: not what was to come.
  bool take_answer(MqttClient& client, const Received& packet);

  const Device device_;
  const mqtt::Qos qos_;
  const std::uint64_t packet_ids_;
  const std::function<std::string()> address_;
  // Of the thread.
  std::set<std::uint64_t> unanswered_;
  std::set<std::uint64_t> unreleased_;  // QoS 2: PUBREC came, PUBCOMP has not
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> acked_{0};
  std::atomic<bool> is_cut_{false};
  std::atomic<bool> is_finishing_{false};
  std::jthread thread_;
};

/// Some of them, each with a device of its own: by turns of QoS 1 and QoS 2.
class Ledgers {
 public:
  /// Each goes round as many packet ids: with few, one that was left behind somewhere soon does
  /// harm. More than can be under way.
  Ledgers(Platform& platform, std::size_t count, const std::function<std::string()>& address,
          std::uint64_t packet_ids = 60'000);
  std::uint64_t acked() const;
  std::uint64_t sent() const;
  /// Waits until that many more are acknowledged.
  bool wait_for_acks(std::uint64_t more) const;
  /// Each sends no more until it is answered, as its window is full; nothing was while this was so.
  bool wait_until_stalled() const;
  void cut();
  /// Ends them and gives what is wrong with what Kafka holds; empty: nothing.
  std::string reconcile(const std::string& kafka_namespace, Qos2Records qos2);

 private:
  std::vector<std::unique_ptr<LedgerDevice>> devices_;
};

}  // namespace sluice::front::testing
