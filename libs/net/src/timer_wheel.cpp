#include <sluice/net/timer_wheel.h>

#include <algorithm>
#include <bit>

namespace sluice::net {

void Timer::cancel() {
  if (next_ == nullptr) return;
  next_->prev_ = prev_;
  prev_->next_ = next_;
  next_ = prev_ = nullptr;
}

TimerWheel::TimerWheel() {
  for (auto& level : slots_) {
    for (Head& head : level) head.next_ = head.prev_ = &head;
  }
}

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (Head& head : level) {
      while (head.next_ != &head) head.next_->cancel();
    }
  }
}

// Deadlines lie within 2^30 of now_, so the low 32 bits tell them apart, before and after.
TimerWheel::Ticks TimerWheel::widen(std::uint32_t tick) const {
  const auto ahead = static_cast<std::int32_t>(tick - static_cast<std::uint32_t>(now_));
  return now_ + static_cast<Ticks>(static_cast<std::int64_t>(ahead));
}

void TimerWheel::arm(Timer& timer, Ticks delay) {
  // Never in the tick that advance() is in: see there.
  Ticks due = now_ + std::clamp<Ticks>(delay, 1, kMaxDelay);
  if (delay >= kCoarseFrom) due = (due + kCoarse - 1) / kCoarse * kCoarse;
  if (timer.is_armed() && due >= widen(timer.placed_)) {
    timer.due_ = static_cast<std::uint32_t>(due);
    return;
  }
  timer.cancel();
  place(timer, due);
}

void TimerWheel::place(Timer& timer, Ticks due) {
  // The level is that of the highest bit in which the deadline differs from now: the wheel turns
  // past the slot exactly when that bit's group becomes equal.
  const Ticks differs = (due ^ now_) | (kSlots - 1);
  const auto level = std::min<std::size_t>(
      (63U - static_cast<unsigned>(std::countl_zero(differs))) / kLevelBits, kLevels - 1);
  const unsigned shift = static_cast<unsigned>(level) * kLevelBits;
  const std::size_t slot = (due >> shift) & (kSlots - 1);
  occupied_[level] |= std::uint64_t{1} << slot;
  Head& head = slots_[level][slot];
  timer.due_ = static_cast<std::uint32_t>(due);
  timer.placed_ = static_cast<std::uint32_t>(due >> shift << shift);
  timer.prev_ = head.prev_;
  timer.next_ = &head;
  head.prev_->next_ = &timer;
  head.prev_ = &timer;
}

std::optional<TimerWheel::Next> TimerWheel::find_next() const {
  // Everything on a level lies before everything on the levels above it.
  for (std::size_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const unsigned shift = static_cast<unsigned>(level) * kLevelBits;
    const auto at = static_cast<unsigned>((now_ >> shift) & (kSlots - 1));
    const auto ahead =
        static_cast<unsigned>(std::countr_zero(std::rotr(occupied_[level], static_cast<int>(at))));
    return Next{.level = level,
                .slot = (at + ahead) & (kSlots - 1),
                .at = ((now_ >> shift) + ahead) << shift};
  }
  return std::nullopt;
}

std::optional<TimerWheel::Ticks> TimerWheel::next_due() const {
  const auto next = find_next();
  if (!next) return std::nullopt;
  return std::max(next->at, now_);
}

void TimerWheel::advance(Ticks now) {
  while (const auto next = find_next()) {
    if (next->at > now) break;
    now_ = std::max(now_, next->at);
    occupied_[next->level] &= ~(std::uint64_t{1} << next->slot);
    fire_slot(slots_[next->level][next->slot]);
  }
  now_ = std::max(now_, now);
}

void TimerWheel::fire_slot(Head& head) {
  if (head.next_ == &head) return;
  // Onto a ring of its own first: what fires may arm, cancel and destroy any timer, this slot's
  // too.
  Head batch;
  batch.next_ = head.next_;
  batch.prev_ = head.prev_;
  batch.next_->prev_ = &batch;
  batch.prev_->next_ = &batch;
  head.next_ = head.prev_ = &head;
  while (batch.next_ != &batch) {
    Timer& timer = *batch.next_;
    const Ticks due = widen(timer.due_);
    timer.cancel();
    if (due > now_) {
      place(timer, due);
    } else {
      timer.on_timer();
    }
  }
  batch.next_ = batch.prev_ = nullptr;  // so that its destructor has nothing to leave
}

}  // namespace sluice::net
