#pragma once

#include "core/decode/byte_reader.h"
#include "core/decode/emitter.h"

#include <cstddef>
#include <cstdint>
#include <format>
#include <span>
#include <string_view>

namespace sluice::validator {

/// What the readers of self-describing formats have in common: one value that is the whole payload,
/// faults that name their byte, counts that are believed only where they can be true.
class BinaryReader {
 protected:
  BinaryReader(std::span<const std::byte> payload, Emitter& emitter)
      : in_(payload), emitter_(emitter) {}

  /// Each says false, for `return malformed(…)`.
  bool malformed(std::string_view what) {
    return emitter_.refuse(RejectReason::kMalformedPayload,
                           std::format("{} at byte {}", what, in_.position()));
  }
  bool truncated() { return malformed("the payload ends inside a value"); }

  /// After the value: nothing may follow it.
  bool is_all_read() { return in_.at_end() || malformed("bytes follow the value"); }

  /// Whether a declared count can be true, each of its items having `bytes_each` at least: a lie is
  /// found before it costs anything.
  bool believe(std::uint64_t count, std::uint64_t bytes_each) {
    if (count > in_.left() / bytes_each) return truncated();
    return emitter_.has_room_for(count) || emitter_.too_complex();
  }

  ByteReader in_;
  Emitter& emitter_;
};

}  // namespace sluice::validator
