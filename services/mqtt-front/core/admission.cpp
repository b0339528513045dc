#include "core/admission.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

namespace sluice::front {

namespace {

using mqtt::ReasonCode;

constexpr std::string_view kMessagesPerSecond = "messages_per_second";
constexpr std::string_view kBytesPerSecond = "bytes_per_second";
constexpr std::string_view kConnectionsPerSecond = "connections_per_second";

ConnectionVerdict refuse(ReasonCode reason, LimitHit limit) {
  return {.is_admitted = false, .limit = limit, .reason = reason};
}

/// What low-priority messages leave to the others.
std::int64_t half_of(const Rate& rate) { return rate.burst_ns() / 2; }

MessageVerdict hold(const MessageTraits& message, LimitHit limit, std::chrono::nanoseconds wait,
                    MonoTime now) {
  MessageVerdict verdict;
  verdict.limit = limit;
  verdict.reason = ReasonCode::kMessageRateTooHigh;
  verdict.action = message.qos == mqtt::Qos::kAtMostOnce ? MessageVerdict::Action::kShed
                                                         : MessageVerdict::Action::kWait;
  verdict.until = now + wait;
  return verdict;
}

}  // namespace

std::string LimitHit::describe() const {
  return std::format("{} limit {} of {}", name, value, scope);
}

ConnectionVerdict ConnectionAdmission::admit_socket(MonoTime now) {
  // Relaxed: a count, which guards no other memory.
  if (handshakes_.fetch_add(1, std::memory_order_relaxed) >= settings_.max_handshakes) {
    handshakes_.fetch_sub(1, std::memory_order_relaxed);
    return refuse(ReasonCode::kServerBusy,
                  {"handshakes_in_flight", "node", settings_.max_handshakes});
  }
  return admit_counted(now);
}

ConnectionVerdict ConnectionAdmission::admit_in_place(MonoTime now) {
  handshakes_.fetch_add(1, std::memory_order_relaxed);
  return admit_counted(now);
}

/// Given back where the rate does not let it in.
ConnectionVerdict ConnectionAdmission::admit_counted(MonoTime now) {
  if (node_.try_take(settings_.node_connections, 1, now).count() > 0) {
    handshakes_.fetch_sub(1, std::memory_order_relaxed);
    return refuse(ReasonCode::kConnectionRateExceeded,
                  {kConnectionsPerSecond, "node", settings_.node_connections.per_second()});
  }
  return {};
}

void ConnectionAdmission::handshake_done() { handshakes_.fetch_sub(1, std::memory_order_relaxed); }

ConnectionAdmission::Client& ConnectionAdmission::client(const SessionKey& key) {
  if (const auto found = clients_.find(key); found != clients_.end()) {
    by_age_.splice(by_age_.end(), by_age_, found->second.place);
    return found->second;
  }
  if (clients_.size() >= settings_.max_clients && !by_age_.empty()) {
    clients_.erase(by_age_.front());
    by_age_.pop_front();
  }
  Client& made = clients_[key];
  made.place = by_age_.insert(by_age_.end(), key);
  return made;
}

ConnectionVerdict ConnectionAdmission::admit_client(const SessionKey& key, TenantMeter& tenant,
                                                    MonoTime now) {
  {
    const std::lock_guard lock(mutex_);
    Client& known = client(key);
    if (now < known.banned_until) {
      return refuse(ReasonCode::kBanned,
                    {"disconnects_per_minute", "client", settings_.flapping_disconnects});
    }
    if (!known.connects.try_take(settings_.client_connects, 1, now)) {
      return refuse(ReasonCode::kConnectionRateExceeded,
                    {kConnectionsPerSecond, "client", settings_.client_connects.per_second()});
    }
  }
  const Rate& rate = tenant.rates(now).connections;
  if (tenant.buckets().connections.try_take(rate, 1, now).count() > 0) {
    return refuse(ReasonCode::kConnectionRateExceeded,
                  {kConnectionsPerSecond, "tenant", rate.per_second()});
  }
  return {};
}

void ConnectionAdmission::on_disconnect(const SessionKey& key, MonoTime now) {
  if (settings_.flapping_disconnects == 0) return;
  const std::lock_guard lock(mutex_);
  Client& known = client(key);
  if (known.disconnects == 0 || now - known.window_start >= settings_.flapping_window) {
    known.window_start = now;
    known.disconnects = 0;
  }
  if (++known.disconnects < settings_.flapping_disconnects) return;
  known.banned_until = now + settings_.ban_duration;
  known.disconnects = 0;
}

std::size_t ConnectionAdmission::clients() const {
  const std::lock_guard lock(mutex_);
  return clients_.size();
}

DeviceRates::DeviceRates(const DeviceLimits& limits)
    : messages(limits.messages_per_second),
      bytes(limits.bytes_per_second),
      max_payload_bytes(limits.max_payload_bytes),
      is_lossy(limits.is_lossy) {}

MessageVerdict admit_message(const MessageTraits& message, const DeviceRates& rates,
                             DeviceMeter& device, TenantMeter& tenant, MonoTime now) {
  if (rates.max_payload_bytes != 0 && message.payload_bytes > rates.max_payload_bytes) {
    return {.action = MessageVerdict::Action::kRefuse,
            .limit = {"max_payload_bytes", "device", rates.max_payload_bytes},
            .reason = ReasonCode::kQuotaExceeded};
  }
  const bool is_buffered = message.is_buffered;
  const auto messages_wait =
      device.messages.wait(rates.messages, 1, now, is_buffered ? half_of(rates.messages) : 0);
  const auto bytes_wait =
      device.bytes.wait(rates.bytes, message.bytes, now, is_buffered ? half_of(rates.bytes) : 0);
  if (messages_wait.count() > 0 || bytes_wait.count() > 0) {
    const bool is_by_messages = messages_wait >= bytes_wait;
    return hold(message,
                is_by_messages ? LimitHit{kMessagesPerSecond, "device", rates.messages.per_second()}
                               : LimitHit{kBytesPerSecond, "device", rates.bytes.per_second()},
                std::max(messages_wait, bytes_wait), now);
  }
  const TenantRates& of_tenant = tenant.rates(now);
  TenantBuckets& buckets = tenant.buckets();
  const bool is_low_priority = is_buffered || (message.qos == mqtt::Qos::kAtMostOnce &&
                                               (rates.is_lossy || of_tenant.sheds_low_priority));
  if (const auto wait = buckets.messages.try_take(
          of_tenant.messages, 1, now, is_low_priority ? half_of(of_tenant.messages) : 0);
      wait.count() > 0) {
    return hold(message, {kMessagesPerSecond, "tenant", of_tenant.messages.per_second()}, wait,
                now);
  }
  if (const auto wait = buckets.bytes.try_take(of_tenant.bytes, message.bytes, now,
                                               is_low_priority ? half_of(of_tenant.bytes) : 0);
      wait.count() > 0) {
    buckets.messages.give_back(of_tenant.messages, 1);
    return hold(message, {kBytesPerSecond, "tenant", of_tenant.bytes.per_second()}, wait, now);
  }
  device.messages.take(rates.messages, 1, now);
  device.bytes.take(rates.bytes, message.bytes, now);
  return {};
}

MessageVerdict admit_read_message(const MessageTraits& message, const DeviceRates& rates,
                                  DeviceMeter& device, TenantMeter& tenant, MonoTime now) {
  const MessageVerdict verdict = admit_message(message, rates, device, tenant, now);
  if (verdict.action != MessageVerdict::Action::kWait) return verdict;
  const TenantRates& of_tenant = tenant.rates(now);
  device.messages.take(rates.messages, 1, now);
  device.bytes.take(rates.bytes, message.bytes, now);
  tenant.buckets().messages.take(of_tenant.messages, 1, now);
  tenant.buckets().bytes.take(of_tenant.bytes, message.bytes, now);
  return verdict;
}

}  // namespace sluice::front
