#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// What a window knows about one message.
enum class WindowVerdict : std::uint8_t {
  kFresh,    // never seen in this epoch of the counter, or the first of a new epoch
  kSeen,     // its sequence was seen with the very same fingerprint
  kUnknown,  // the window cannot tell
};

/// The last sequence numbers of one device, each with 32 bits of what it said. Aware of restarts: a
/// number that goes back while the device's time goes on begins a new epoch, which clears the
/// window.
///
/// 32 bits, not the eight that would do for a hint: a device may restart its counter and then
/// deliver stored messages of the old one, whose numbers meet the new ones' in the window. With
/// eight bits every 256th of those would look like a replay, and would be lost.
class SequenceWindow {
 public:
  static constexpr std::size_t kDefaultSize = 512;  // an hour of a message each 10 s is 360
  static constexpr std::size_t kMinSize = 64;
  static constexpr std::size_t kMaxSize = 4096;

  /// `size` is a power of two within the bounds.
  explicit SequenceWindow(std::size_t size);

  /// Judges a message and remembers it, kUnknown ones as well wherever there is a slot.
  /// `device_time_ms` only where it is credible.
  WindowVerdict take(std::uint64_t sequence, std::optional<std::int64_t> device_time_ms,
                     std::uint64_t fingerprint);

  /// Brings closer what take() will look at.
  void prefetch(std::uint64_t sequence) const {
    __builtin_prefetch(&slots_[sequence & (slots_.size() - 1)]);
  }

  bool is_empty() const { return !has_any_; }
  std::uint64_t highest() const { return highest_; }
  std::uint64_t epochs() const { return epochs_; }  // begun, the first not counted

  std::size_t memory_bytes() const { return sizeof(*this) + slots_.size() * sizeof(slots_[0]); }

  void serialise(std::string& out) const;
  /// False where the bytes are no window; what is read is taken off the front of `in`. Another
  /// size than this window's is no fault: the newest are kept.
  bool restore(std::string_view& in);

 private:
  std::uint32_t& slot(std::uint64_t sequence) { return slots_[sequence & (slots_.size() - 1)]; }
  void begin_epoch(std::uint64_t sequence, std::optional<std::int64_t> device_time_ms,
                   std::uint32_t tag);
  void advance_to(std::uint64_t sequence);
  WindowVerdict take_below(std::uint64_t sequence, std::optional<std::int64_t> device_time_ms,
                           std::uint32_t tag);

  std::vector<std::uint32_t> slots_;  // 0: not seen
  std::uint64_t highest_ = 0;
  std::uint64_t floor_ = 0;  // everything seen of this epoch from here on is in the window
  std::optional<std::int64_t> highest_time_ms_{};
  std::uint64_t epochs_ = 0;
  bool has_any_ = false;
};

}  // namespace sluice::validator
