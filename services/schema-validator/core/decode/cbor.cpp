#include "core/decode/cbor.h"

#include "core/decode/binary_reader.h"

#include <bit>
#include <cmath>
#include <format>
#include <limits>

#include <sluice/base/utf8.h>

namespace sluice::validator {
namespace {

constexpr std::uint8_t kBreak = 0xFF;
constexpr std::uint64_t kIndefinite = UINT64_MAX;
/// Tags on one item: enough for a self-described, encoded time, and an end for a chain of them.
constexpr int kMaxTags = 8;

enum Major : std::uint8_t {
  kUnsigned,
  kNegative,
  kBytes,
  kText,
  kArray,
  kMap,
  kTag,
  kSimple,
};

/// The first byte of an item and its argument.
struct Head {
  Major major = kUnsigned;
  std::uint8_t info = 0;
  std::uint64_t argument = 0;
  bool is_indefinite = false;
};

/// RFC 8949 appendix D, exact: every half is a double.
double half_to_double(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const double mantissa = half & 0x3FF;
  double value = 0;
  if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else if (exponent != 31) {
    value = std::ldexp(mantissa + 1024, exponent - 25);
  } else {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  }
  return (half & 0x8000) != 0 ? -value : value;
}

class CborReader : private BinaryReader {
 public:
  CborReader(std::span<const std::byte> payload, Emitter& emitter, std::string& scratch,
             CborKeyNames key_names)
      : BinaryReader(payload, emitter), scratch_(scratch), key_names_(key_names) {}

  bool read_all() { return read_value() && is_all_read(); }

 private:
  bool read_head(Head& head) {
    std::uint8_t first = 0;
    if (!in_.take_byte(first)) return truncated();
    head.major = static_cast<Major>(first >> 5U);
    head.info = first & 0x1FU;
    head.is_indefinite = false;
    bool is_read = true;
    if (head.info < 24) {
      head.argument = head.info;
    } else if (head.info == 24) {
      is_read = take<std::uint8_t>(head.argument);
    } else if (head.info == 25) {
      is_read = take<std::uint16_t>(head.argument);
    } else if (head.info == 26) {
      is_read = take<std::uint32_t>(head.argument);
    } else if (head.info == 27) {
      is_read = take<std::uint64_t>(head.argument);
    } else if (head.info == 31 && head.major >= kBytes && head.major <= kMap) {
      head.is_indefinite = true;
      head.argument = kIndefinite;
    } else {
      return malformed("a byte that begins no item");
    }
    return is_read || truncated();
  }

  template <typename T>
  bool take(std::uint64_t& argument) {
    T value = 0;
    if (!in_.take_big_endian(value)) return false;
    argument = value;
    return true;
  }

  bool read_value() {
    Head head;
    std::optional<std::uint64_t> tag;
    for (int tags = 0;; ++tags) {
      if (!read_head(head)) return false;
      if (head.major != kTag) break;
      if (tags == kMaxTags) return malformed("too many tags on one item");
      tag = head.argument;
    }
    if (tag && (*tag == 2 || *tag == 3)) return read_bignum(head, *tag == 3);
    return read_item(head);
  }

  bool read_item(const Head& head) {
    switch (head.major) {
      case kUnsigned:
        return emitter_.on_uint64(head.argument);
      case kNegative:
        return tell_negative(head.argument);
      case kBytes: {
        std::string_view bytes;
        return join(head, bytes) && emitter_.on_bytes(std::as_bytes(std::span(bytes)));
      }
      case kText: {
        std::string_view text;
        return join(head, text) && emitter_.on_string(text);
      }
      case kArray:
        return read_array(head);
      case kMap:
        return read_map(head);
      case kSimple:
        return read_simple(head);
      case kTag:
        break;  // read_value() took them off
    }
    return malformed("a tag without an item");
  }

  bool tell_negative(std::uint64_t argument) {
    if (argument > static_cast<std::uint64_t>(INT64_MAX)) {
      return emitter_.refuse(RejectReason::kNumberOutOfRange,
                             std::format("a number below -2^63 at byte {}", in_.position()));
    }
    return emitter_.on_int64(-1 - static_cast<std::int64_t>(argument));
  }

  bool read_bignum(const Head& head, bool is_negative) {
    if (head.major != kBytes) return malformed("a bignum that is no byte string");
    std::string_view bytes;
    if (!join(head, bytes)) return false;
    while (!bytes.empty() && bytes.front() == '\0') bytes.remove_prefix(1);
    if (bytes.size() > sizeof(std::uint64_t)) {
      return emitter_.refuse(RejectReason::kNumberOutOfRange,
                             std::format("a bignum beyond 64 bits at byte {}", in_.position()));
    }
    std::uint64_t value = 0;
    for (const char byte : bytes) value = value << 8U | static_cast<unsigned char>(byte);
    return is_negative ? tell_negative(value) : emitter_.on_uint64(value);
  }

  /// The text or bytes of an item, whose pieces are joined where its length is indefinite.
  bool join(const Head& head, std::string_view& text) {
    if (!head.is_indefinite) return in_.take_text(head.argument, text) || truncated();
    scratch_.clear();
    for (;;) {
      if (is_break()) break;
      Head piece;
      if (!read_head(piece)) return false;
      if (piece.major != head.major || piece.is_indefinite) {
        return malformed("a piece of another kind than its whole");
      }
      std::string_view part;
      if (!in_.take_text(piece.argument, part)) return truncated();
      if (part.size() > emitter_.max_text() - scratch_.size()) return emitter_.text_too_long();
      // RFC 8949 section 3.2.3: a character is not split over pieces.
      if (head.major == kText && !is_valid_utf8(part))
        return malformed("a text is not valid UTF-8");
      scratch_ += part;
    }
    text = scratch_;
    return true;
  }

  bool is_break() {
    std::uint8_t next = 0;
    return in_.peek(next) && next == kBreak && in_.take_byte(next);
  }

  bool read_array(const Head& head) {
    if (!head.is_indefinite && !believe(head.argument, 1)) return false;
    if (!emitter_.begin_array()) return false;
    for (std::uint64_t i = 0; i < head.argument; ++i) {
      if (head.is_indefinite && is_break()) break;
      if (!read_value()) return false;
    }
    return emitter_.end_array();
  }

  bool read_map(const Head& head) {
    if (!head.is_indefinite && !believe(head.argument, 2)) return false;
    if (!emitter_.begin_object()) return false;
    for (std::uint64_t i = 0; i < head.argument; ++i) {
      if (head.is_indefinite && is_break()) break;
      if (!read_key() || !read_value()) return false;
    }
    return emitter_.end_object();
  }

  bool read_key() {
    Head head;
    if (!read_head(head)) return false;
    std::string_view key;
    if (head.major == kText) return join(head, key) && emitter_.on_key(key);
    const bool is_integer = (head.major == kUnsigned || head.major == kNegative) &&
                            head.argument <= static_cast<std::uint64_t>(INT64_MAX);
    if (key_names_ == nullptr || !is_integer) return malformed("a key that is no text");
    const auto value = static_cast<std::int64_t>(head.argument);
    key = key_names_(head.major == kUnsigned ? value : -1 - value);
    return key.empty() ? malformed("a key that has no name") : emitter_.on_key(key);
  }

  bool read_simple(const Head& head) {
    switch (head.info) {
      case 20:
        return emitter_.on_bool(false);
      case 21:
        return emitter_.on_bool(true);
      case 22:
      case 23:
        return emitter_.on_null();
      case 25:
        return emitter_.on_double(half_to_double(static_cast<std::uint16_t>(head.argument)));
      case 26:
        return emitter_.on_double(std::bit_cast<float>(static_cast<std::uint32_t>(head.argument)));
      case 27:
        return emitter_.on_double(std::bit_cast<double>(head.argument));
      default:
        return malformed("a simple value without a meaning");
    }
  }

  std::string& scratch_;
  CborKeyNames key_names_;
};

}  // namespace

std::optional<Rejection> decode_cbor(std::span<const std::byte> payload,
                                     const PayloadLimits& limits, PayloadSink& sink,
                                     std::string& scratch, CborKeyNames key_names) {
  Emitter emitter(sink, limits);
  CborReader(payload, emitter, scratch, key_names).read_all();
  return std::move(emitter.rejection());
}

}  // namespace sluice::validator
