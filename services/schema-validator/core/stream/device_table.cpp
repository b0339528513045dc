#include "core/stream/device_table.h"

#include "core/stream/hash.h"

#include <algorithm>

namespace sluice::validator {
namespace {

constexpr std::size_t kFirstCells = 64;

}  // namespace

DeviceTable::DeviceTable(std::size_t max_devices)
    : max_devices_(std::clamp<std::size_t>(max_devices, 1, kNone / 4)),
      cells_(kFirstCells, kNone) {}

std::uint64_t DeviceTable::hash_of(std::string_view key) { return hash_text(key); }

DeviceTable::Index DeviceTable::find(std::string_view key, std::uint64_t hash) const {
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t cell = hash & mask; cells_[cell] != kNone; cell = (cell + 1) & mask) {
    const Entry& candidate = entries_[cells_[cell]];
    if (candidate.hash == hash && candidate.key == key) return cells_[cell];
  }
  return kNone;
}

DeviceTable::Index DeviceTable::touch(std::string_view key, std::uint64_t hash, bool& is_new) {
  Index index = find(key, hash);
  is_new = index == kNone;
  if (!is_new) {
    if (index != used_.last) {
      take_out(used_, &Entry::by_use, index);
      append(used_, &Entry::by_use, index);
    }
    return index;
  }
  if (size_ == max_devices_) {
    remove(used_.first);
    ++evictions_;
  }
  if ((size_ + 1) * 2 > cells_.size()) grow();
  if (free_.empty()) {
    index = static_cast<Index>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Entry& made = entries_[index];
  made.key = key;
  made.hash = hash;
  const std::size_t mask = cells_.size() - 1;
  std::size_t cell = hash & mask;
  while (cells_[cell] != kNone) cell = (cell + 1) & mask;
  cells_[cell] = index;
  append(used_, &Entry::by_use, index);
  ++size_;
  return index;
}

void DeviceTable::erase(std::string_view key, std::uint64_t hash) {
  if (const Index index = find(key, hash); index != kNone) remove(index);
}

std::size_t DeviceTable::cell_of(Index index) const {
  const std::size_t mask = cells_.size() - 1;
  std::size_t cell = entries_[index].hash & mask;
  while (cells_[cell] != index) cell = (cell + 1) & mask;
  return cell;
}

void DeviceTable::remove(Index index) {
  const std::size_t mask = cells_.size() - 1;
  std::size_t hole = cell_of(index);
  // Those behind move up where that keeps them at or after the cell they belong into: no
  // tombstones.
  for (std::size_t cell = (hole + 1) & mask; cells_[cell] != kNone; cell = (cell + 1) & mask) {
    const std::size_t home = entries_[cells_[cell]].hash & mask;
    if (((cell - home) & mask) >= ((cell - hole) & mask)) {
      cells_[hole] = cells_[cell];
      hole = cell;
    }
  }
  cells_[hole] = kNone;
  mark_clean(index);
  take_out(used_, &Entry::by_use, index);
  entries_[index] = Entry{};
  free_.push_back(index);
  --size_;
}

void DeviceTable::grow() {
  std::vector<Index> cells(cells_.size() * 2, kNone);
  const std::size_t mask = cells.size() - 1;
  for (const Index index : cells_) {
    if (index == kNone) continue;
    std::size_t cell = entries_[index].hash & mask;
    while (cells[cell] != kNone) cell = (cell + 1) & mask;
    cells[cell] = index;
  }
  cells_ = std::move(cells);
}

void DeviceTable::append(List& list, Links Entry::* links, Index index) {
  entries_[index].*links = {.before = list.last, .after = kNone};
  (list.last == kNone ? list.first : (entries_[list.last].*links).after) = index;
  list.last = index;
}

void DeviceTable::take_out(List& list, Links Entry::* links, Index index) {
  const Links gone = entries_[index].*links;
  (gone.before == kNone ? list.first : (entries_[gone.before].*links).after) = gone.after;
  (gone.after == kNone ? list.last : (entries_[gone.after].*links).before) = gone.before;
}

void DeviceTable::mark_dirty(Index index) {
  if (entries_[index].is_dirty) return;
  entries_[index].is_dirty = true;
  append(changed_, &Entry::by_change, index);
  ++dirty_;
}

void DeviceTable::mark_clean(Index index) {
  if (!entries_[index].is_dirty) return;
  entries_[index].is_dirty = false;
  take_out(changed_, &Entry::by_change, index);
  --dirty_;
}

std::size_t DeviceTable::memory_bytes() const {
  std::size_t total = cells_.capacity() * sizeof(Index) + entries_.size() * sizeof(Entry);
  for (Index index = used_.first; index != kNone; index = entries_[index].by_use.after) {
    const Entry& one = entries_[index];
    total += one.key.capacity() + one.state.metrics.capacity() * sizeof(MetricState);
    if (one.state.window) total += one.state.window->memory_bytes();
  }
  return total;
}

}  // namespace sluice::validator
