#include "ledger.h"

#include "telemetry_log.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <stdexcept>

#include <sluice/testing/eventually.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;
using mqtt::PacketType;
using mqtt::Qos;

constexpr std::size_t kWindow = 20;
constexpr std::uint32_t kExpirySeconds = 600;

}  // namespace

LedgerDevice::LedgerDevice(Device device, Qos qos, std::uint64_t packet_ids,
                           std::function<std::string()> address)
    : device_(std::move(device)),
      qos_(qos),
      packet_ids_(packet_ids),
      address_(std::move(address)),
      thread_([this] { run(); }) {}

std::uint16_t LedgerDevice::packet_id_of(std::uint64_t number) const {
  return static_cast<std::uint16_t>(number % packet_ids_ + 1);
}

void LedgerDevice::finish() {
  is_finishing_ = true;
  thread_.join();
}

void LedgerDevice::run() {
  const auto session =
      qos_ == Qos::kExactlyOnce ? device_.session(kExpirySeconds, false) : device_.session();
  while (!is_done()) {
    try {
      MqttClient client(address_());
      client.send_connect(session);
      const auto connack = client.receive(5s);
      if (!connack || connack->reason != mqtt::ReasonCode::kSuccess) continue;
      if (!connack->session_present) unreleased_.clear();  // the front knows nothing of them
      converse(client);
    } catch (const std::runtime_error&) {
      std::this_thread::yield();  // nobody listens at the moment
    }
  }
}

void LedgerDevice::converse(MqttClient& client) {
  const auto send = [&](std::uint64_t number, bool again) {
    return client.send_publish(device_.telemetry(), std::to_string(number), qos_,
                               packet_id_of(number), again);
  };
  for (const std::uint64_t number : unreleased_) {
    if (!client.send_ack(PacketType::kPubrel, packet_id_of(number))) return;
  }
  for (const std::uint64_t number : unanswered_) {
    if (!send(number, true)) return;
  }
  while (!is_done()) {
    while (!is_finishing_ && unanswered_.size() + unreleased_.size() < kWindow) {
      unanswered_.insert(++sent_);
      if (!send(sent_, false)) return;
    }
    const auto packet = client.receive(100ms);
    if (client.is_closed() || is_cut_.exchange(false)) return;
    if (packet && !take_answer(client, *packet)) return;
  }
  client.send_disconnect();
}

bool LedgerDevice::take_answer(MqttClient& client, const Received& packet) {
  if (packet.type == PacketType::kPubcomp) {
    return std::erase_if(unreleased_, [&](std::uint64_t number) {
             return packet_id_of(number) == packet.packet_id;
           }) == 1;
  }
  const bool is_qos2 = qos_ == Qos::kExactlyOnce;
  if (packet.type != (is_qos2 ? PacketType::kPubrec : PacketType::kPuback)) return false;
  if (unanswered_.empty()) return false;
  const std::uint64_t first = *unanswered_.begin();
  // The front answers in the order of the publishes. Refused or out of order: what is not
  // acknowledged is sent again.
  if (packet.packet_id != packet_id_of(first)) return false;
  if (packet.reason != mqtt::ReasonCode::kSuccess) return false;
  unanswered_.erase(first);
  acked_ = first;
  if (!is_qos2) return true;
  unreleased_.insert(first);
  return client.send_ack(PacketType::kPubrel, packet.packet_id);
}

std::string LedgerDevice::faults_of(const std::vector<std::string>& payloads,
                                    Qos2Records qos2) const {
  const bool is_once = qos_ == Qos::kExactlyOnce && qos2 == Qos2Records::kOnce;
  std::uint64_t highest = 0;
  for (const std::string& payload : payloads) {
    const std::uint64_t number = std::stoull(payload);
    if (number > highest + 1) {
      return std::format("{}: {} comes after {}, {} acknowledged\n", device_.id, number, highest,
                         acked_.load());
    }
    if (number <= highest && is_once) {
      return std::format("{}: {} of QoS 2 is there twice\n", device_.id, number);
    }
    highest = std::max(highest, number);
  }
  if (highest >= acked_) return {};
  return std::format("{}: {} acknowledged, Kafka holds {}\n", device_.id, acked_.load(), highest);
}

Ledgers::Ledgers(Platform& platform, std::size_t count, const std::function<std::string()>& address,
                 std::uint64_t packet_ids) {
  for (std::size_t i = 0; i < count; ++i) {
    devices_.push_back(std::make_unique<LedgerDevice>(
        platform.make_device(), i % 2 == 0 ? Qos::kAtLeastOnce : Qos::kExactlyOnce, packet_ids,
        address));
  }
}

std::uint64_t Ledgers::acked() const {
  std::uint64_t sum = 0;
  for (const auto& device : devices_) sum += device->acked();
  return sum;
}

std::uint64_t Ledgers::sent() const {
  std::uint64_t sum = 0;
  for (const auto& device : devices_) sum += device->sent();
  return sum;
}

bool Ledgers::wait_for_acks(std::uint64_t more) const {
  const std::uint64_t wanted = acked() + more;
  return sluice::testing::eventually([&] { return acked() >= wanted; });
}

bool Ledgers::wait_until_stalled() const {
  return sluice::testing::eventually([&] { return sent() == acked() + devices_.size() * kWindow; });
}

void Ledgers::cut() {
  for (const auto& device : devices_) device->cut();
}

std::string Ledgers::reconcile(const std::string& kafka_namespace, Qos2Records qos2) {
  for (const auto& device : devices_) device->finish();
  TelemetryLog log(kafka_namespace);
  std::string faults;
  for (const auto& device : devices_) {
    faults += device->faults_of(log.payloads_of(device->device().id), qos2);
  }
  return faults;
}

}  // namespace sluice::front::testing
