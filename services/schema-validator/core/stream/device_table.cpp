#include "core/stream/device_table.h"

#include "core/stream/hash.h"

#include <algorithm>
#include <utility>

namespace sluice::validator {
namespace {

constexpr std::size_t kFirstCells = 64;

}  // namespace

DeviceTable::DeviceTable(std::size_t max_devices, std::function<void(const Entry&)> before_eviction)
    : max_devices_(std::clamp<std::size_t>(max_devices, 1, kNone / 4)),
      before_eviction_(std::move(before_eviction)),
      cells_(kFirstCells) {}

std::uint64_t DeviceTable::hash_of(std::string_view key) { return hash_text(key); }

DeviceTable::Index DeviceTable::find(std::string_view key, std::uint64_t hash) const {
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t at = hash & mask; cells_[at].index != kNone; at = (at + 1) & mask) {
    if (cells_[at].tag != tag_of(hash)) continue;
    const Entry& candidate = entries_[cells_[at].index];
    if (candidate.hash == hash && candidate.key == key) return cells_[at].index;
  }
  return kNone;
}

DeviceTable::Index DeviceTable::touch(std::string_view key, std::uint64_t hash, bool& is_new) {
  Index index = find(key, hash);
  is_new = index == kNone;
  if (!is_new) {
    if (index != used_.last()) {
      used_.take_out(index);
      used_.append(index);
    }
    return index;
  }
  if (size_ == max_devices_) {
    if (before_eviction_) before_eviction_(entries_[used_.first()]);
    remove(used_.first());
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
  while (cells_[cell].index != kNone) cell = (cell + 1) & mask;
  cells_[cell] = {.index = index, .tag = tag_of(hash)};
  used_.append(index);
  ++size_;
  return index;
}

void DeviceTable::erase(std::string_view key, std::uint64_t hash) {
  if (const Index index = find(key, hash); index != kNone) remove(index);
}

std::size_t DeviceTable::cell_of(Index index) const {
  const std::size_t mask = cells_.size() - 1;
  std::size_t cell = entries_[index].hash & mask;
  while (cells_[cell].index != index) cell = (cell + 1) & mask;
  return cell;
}

void DeviceTable::remove(Index index) {
  const std::size_t mask = cells_.size() - 1;
  std::size_t hole = cell_of(index);
  // Those behind move up where that keeps them at or after the cell they belong into: no
  // tombstones.
  for (std::size_t cell = (hole + 1) & mask; cells_[cell].index != kNone;
       cell = (cell + 1) & mask) {
    const std::size_t home = entries_[cells_[cell].index].hash & mask;
    if (((cell - home) & mask) >= ((cell - hole) & mask)) {
      cells_[hole] = cells_[cell];
      hole = cell;
    }
  }
  cells_[hole] = {};
  mark_clean(index);
  used_.take_out(index);
  entries_[index] = Entry{};
  free_.push_back(index);
  --size_;
}

void DeviceTable::grow() {
  std::vector<Cell> cells(cells_.size() * 2);
  const std::size_t mask = cells.size() - 1;
  for (const Cell& each : cells_) {
    if (each.index == kNone) continue;
    std::size_t cell = entries_[each.index].hash & mask;
    while (cells[cell].index != kNone) cell = (cell + 1) & mask;
    cells[cell] = each;
  }
  cells_ = std::move(cells);
}

void DeviceTable::List::append(Index index) {
  if (index >= links_.size()) links_.resize(index + 1);
  links_[index] = {.before = last_, .after = kNone};
  (last_ == kNone ? first_ : links_[last_].after) = index;
  last_ = index;
}

void DeviceTable::List::take_out(Index index) {
  const Links gone = links_[index];
  (gone.before == kNone ? first_ : links_[gone.before].after) = gone.after;
  (gone.after == kNone ? last_ : links_[gone.after].before) = gone.before;
}

void DeviceTable::mark_dirty(Index index) {
  if (entries_[index].is_dirty) return;
  entries_[index].is_dirty = true;
  changed_.append(index);
  ++dirty_;
}

void DeviceTable::mark_clean(Index index) {
  if (!entries_[index].is_dirty) return;
  entries_[index].is_dirty = false;
  changed_.take_out(index);
  --dirty_;
}

std::size_t DeviceTable::memory_bytes() const {
  std::size_t total = cells_.capacity() * sizeof(Cell) + entries_.size() * sizeof(Entry) +
                      used_.memory_bytes() + changed_.memory_bytes();
  for (Index index = used_.first(); index != kNone; index = used_.after(index)) {
    const Entry& one = entries_[index];
    total += one.key.capacity() + one.state.metrics.capacity() * sizeof(MetricState);
    if (one.state.window) total += one.state.window->memory_bytes();
  }
  return total;
}

}  // namespace sluice::validator
