#pragma once

#include "core/stream/device_state.h"
#include "core/stream/device_table.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::validator {

enum class Copy : std::uint8_t { kFresh, kMaybe, kReplay };

struct DeviceStates::Inside {
  Inside(const StreamSettings& given, SeenFilter& seen)
      : settings(given),
        filter(seen),
        table(given.max_devices, [this](const auto& entry) { give_way(entry); }) {}

  void give_way(const DeviceTable::Entry& entry);
  bool bring_back(std::string_view key, DeviceState& state);
  void note_gone(std::string_view key);
  void forget_gone(std::string_view key);

  void observe_clock(const MessageContext& message, const Extracted& extracted, DeviceState& state);
  void judge_times(const MessageContext& message, const Extracted& extracted,
                   const DeviceState& state, Judgement& judgement);
  void take_fingerprints(const MessageContext& message, const Extracted& extracted,
                         std::uint64_t device, const DeviceState& state);
  void judge_copies(const Extracted& extracted, DeviceState& state, Judgement& judgement);
  Copy judge_copy(std::uint64_t sequence, std::optional<std::int64_t> credible_time_ms,
                  std::uint64_t fingerprint, DeviceState& state);
  void judge_outliers(const OutlierRules& rules, Extracted& extracted, DeviceState& state,
                      Judgement& judgement);
  MetricState* metric_of(DeviceState& state, std::uint32_t key, std::uint32_t hint) const;

  StreamSettings settings;
  SeenFilter& filter;
  DeviceTable table;
  /// States that gave way before they were told, by device: as many as there were evictions since
  /// they were last drained.
  std::map<std::string, std::string, std::less<>> aside{};
  /// Devices that gave way and whose last state was told: neither in the table nor aside.
  std::set<std::string, std::less<>> gone{};
  // Of the message at hand.
  std::vector<std::uint8_t> is_credible{};  // by sample
  std::vector<std::uint64_t> names{};       // hashes of the metrics, by reading
  /// What is asked about in the filter: the samples of one number, from `begin` on.
  struct Numbered {
    std::size_t begin = 0;
    std::size_t count = 1;
    std::uint64_t sequence = 0;
    std::uint64_t fingerprint = 0;
  };
  std::vector<Numbered> numbered{};
};

}  // namespace sluice::validator
