#include "core/stream/device_state.h"

#include "core/stream/device_state_inside.h"
#include "core/stream/state_format.h"

#include <bit>
#include <format>

#include <sluice/base/check.h>
#include <sluice/base/planted_bug.h>

namespace sluice::validator {

void DeviceStates::Inside::give_way(const DeviceTable::Entry& entry) {
  if (!entry.is_dirty) return note_gone(entry.key);
  if (SLUICE_PLANTED_BUG("validator_evicts_unsaved_states")) return;
  std::string bytes;
  write_state(entry.state, bytes);
  aside.insert_or_assign(entry.key, std::move(bytes));
}

/// No more than there may be devices, however many a changelog holds that is read back: the records
/// of the rest stay there until it is read again.
void DeviceStates::Inside::note_gone(std::string_view key) {
  if (gone.size() < settings.max_devices) gone.emplace(key);
}

/// A device that is here again has a record to keep.
void DeviceStates::Inside::forget_gone(std::string_view key) {
  if (const auto found = gone.find(key); found != gone.end()) gone.erase(found);
}

/// Whether the device's state was aside; then it is in place again.
bool DeviceStates::Inside::bring_back(std::string_view key, DeviceState& state) {
  const auto found = aside.find(key);
  if (found == aside.end()) return false;
  const bool is_read = read_state(found->second, settings.window_size, settings.max_metrics, state);
  if (!is_read) state = {};  // the device begins anew: better than a partition that does not go on
  aside.erase(found);
  return is_read;
}

DeviceStates::DeviceStates(const StreamSettings& settings, SeenFilter& filter)
    : inside_(std::make_unique<Inside>(settings, filter)) {
  SLUICE_CHECK(std::has_single_bit(settings.window_size) &&
               settings.window_size >= SequenceWindow::kMinSize &&
               settings.window_size <= SequenceWindow::kMaxSize);
  SLUICE_CHECK(settings.max_metrics <= UINT16_MAX);
}

DeviceStates::~DeviceStates() = default;

std::optional<std::string> DeviceStates::serialise(std::string_view device_key) const {
  const auto index = inside_->table.find(device_key, DeviceTable::hash_of(device_key));
  if (index == DeviceTable::kNone) {
    const auto aside = inside_->aside.find(device_key);
    return aside == inside_->aside.end() ? std::nullopt : std::optional(aside->second);
  }
  std::string bytes;
  write_state(inside_->table.entry(index).state, bytes);
  return bytes;
}

Result<> DeviceStates::restore(std::string_view device_key, std::string_view bytes,
                               std::optional<std::int64_t> heard_at_ms) {
  const std::uint64_t hash = DeviceTable::hash_of(device_key);
  DeviceState state;
  if (!read_state(bytes, inside_->settings.window_size, inside_->settings.max_metrics, state)) {
    inside_->table.erase(device_key, hash);
    return fail(
        ErrorCode::kInvalidArgument,
        std::format("{} bytes are no device state of version {}", bytes.size(), kStateVersion));
  }
  state.heard_at_ms = heard_at_ms;
  bool is_new = false;
  const auto index = inside_->table.touch(device_key, hash, is_new);
  inside_->forget_gone(device_key);
  inside_->table.entry(index).state = std::move(state);
  inside_->table.mark_clean(index);
  return {};
}

void DeviceStates::forget(std::string_view device_key) {
  inside_->table.erase(device_key, DeviceTable::hash_of(device_key));
  if (const auto aside = inside_->aside.find(device_key); aside != inside_->aside.end()) {
    inside_->aside.erase(aside);
  }
  inside_->forget_gone(device_key);
}

std::size_t DeviceStates::drain_dirty(
    std::size_t max, const std::function<void(std::string_view, std::string_view)>& to) {
  std::string bytes;
  std::size_t told = 0;
  for (auto& aside = inside_->aside; told < max && !aside.empty(); ++told) {
    to(aside.begin()->first, aside.begin()->second);
    inside_->note_gone(aside.begin()->first);
    aside.erase(aside.begin());
  }
  for (; told < max && inside_->table.dirty() > 0; ++told) {
    const DeviceTable::Index index = inside_->table.first_dirty();
    const DeviceTable::Entry& entry = inside_->table.entry(index);
    bytes.clear();
    write_state(entry.state, bytes);
    inside_->table.mark_clean(index);
    to(entry.key, bytes);
  }
  return told;
}

std::size_t DeviceStates::dirty() const { return inside_->table.dirty() + inside_->aside.size(); }

std::size_t DeviceStates::evicted() const { return inside_->aside.size() + inside_->gone.size(); }

std::size_t DeviceStates::drain_gone(std::size_t max,
                                     const std::function<void(std::string_view)>& to) {
  std::size_t told = 0;
  for (auto& gone = inside_->gone; told < max && !gone.empty(); ++told) {
    to(*gone.begin());
    gone.erase(gone.begin());
  }
  return told;
}

std::size_t DeviceStates::forget_silent(std::int64_t since_ms, std::size_t max,
                                        const std::function<void(std::string_view)>& to) {
  DeviceTable& table = inside_->table;
  std::size_t forgotten = 0;
  for (; forgotten < max && table.size() > 0; ++forgotten) {
    const DeviceTable::Entry& entry = table.entry(table.first_used());
    if (entry.state.heard_at_ms.value_or(INT64_MAX) >= since_ms) break;
    const std::string key = entry.key;
    table.erase(key, entry.hash);
    to(key);
  }
  return forgotten;
}

std::optional<std::int64_t> DeviceStates::clock_offset_ms(std::string_view device_key) const {
  const auto index = inside_->table.find(device_key, DeviceTable::hash_of(device_key));
  if (index == DeviceTable::kNone) return std::nullopt;
  return inside_->table.entry(index).state.clock.offset_ms();
}

std::size_t DeviceStates::size() const { return inside_->table.size(); }
std::uint64_t DeviceStates::evictions() const { return inside_->table.evictions(); }
std::size_t DeviceStates::memory_bytes() const { return inside_->table.memory_bytes(); }

std::size_t DeviceStates::max_device_bytes(const StreamSettings& settings) {
  return sizeof(DeviceTable::Entry) + DeviceTable::kMostBesideEntry + sizeof(SequenceWindow) +
         settings.window_size * sizeof(std::uint32_t) + settings.max_metrics * sizeof(MetricState);
}

}  // namespace sluice::validator
