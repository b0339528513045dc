#include "core/decode/message_pack.h"

#include "core/decode/binary_reader.h"

#include <bit>
#include <format>

namespace sluice::validator {
namespace {

class MessagePackReader : private BinaryReader {
 public:
  MessagePackReader(std::span<const std::byte> payload, Emitter& emitter)
      : BinaryReader(payload, emitter) {}

  bool read_all() { return read_value() && is_all_read(); }

 private:
  bool read_value() {
    std::uint8_t head = 0;
    if (!in_.take_byte(head)) return truncated();
    if (head <= 0x7F) return emitter_.on_int64(head);
    if (head <= 0x8F) return read_map(head & 0x0FU);
    if (head <= 0x9F) return read_array(head & 0x0FU);
    if (head <= 0xBF) return read_string(head & 0x1FU);
    if (head >= 0xE0) return emitter_.on_int64(static_cast<std::int8_t>(head));
    return read_marked(head);
  }

  bool read_marked(std::uint8_t head) {
    switch (head) {
      case 0xC0:
        return emitter_.on_null();
      case 0xC2:
        return emitter_.on_bool(false);
      case 0xC3:
        return emitter_.on_bool(true);
      case 0xC4:
        return with_size<std::uint8_t>(&MessagePackReader::read_bytes);
      case 0xC5:
        return with_size<std::uint16_t>(&MessagePackReader::read_bytes);
      case 0xC6:
        return with_size<std::uint32_t>(&MessagePackReader::read_bytes);
      case 0xC7:
        return with_size<std::uint8_t>(&MessagePackReader::read_extension);
      case 0xC8:
        return with_size<std::uint16_t>(&MessagePackReader::read_extension);
      case 0xC9:
        return with_size<std::uint32_t>(&MessagePackReader::read_extension);
      case 0xCA:
        return read_float<std::uint32_t, float>();
      case 0xCB:
        return read_float<std::uint64_t, double>();
      case 0xCC:
        return read_unsigned<std::uint8_t>();
      case 0xCD:
        return read_unsigned<std::uint16_t>();
      case 0xCE:
        return read_unsigned<std::uint32_t>();
      case 0xCF:
        return read_unsigned<std::uint64_t>();
      case 0xD0:
        return read_signed<std::uint8_t, std::int8_t>();
      case 0xD1:
        return read_signed<std::uint16_t, std::int16_t>();
      case 0xD2:
        return read_signed<std::uint32_t, std::int32_t>();
      case 0xD3:
        return read_signed<std::uint64_t, std::int64_t>();
      case 0xD4:
      case 0xD5:
      case 0xD6:
      case 0xD7:
      case 0xD8:
        return read_extension(std::uint32_t{1} << (head - 0xD4U));
      case 0xD9:
        return with_size<std::uint8_t>(&MessagePackReader::read_string);
      case 0xDA:
        return with_size<std::uint16_t>(&MessagePackReader::read_string);
      case 0xDB:
        return with_size<std::uint32_t>(&MessagePackReader::read_string);
      case 0xDC:
        return with_size<std::uint16_t>(&MessagePackReader::read_array);
      case 0xDD:
        return with_size<std::uint32_t>(&MessagePackReader::read_array);
      case 0xDE:
        return with_size<std::uint16_t>(&MessagePackReader::read_map);
      case 0xDF:
        return with_size<std::uint32_t>(&MessagePackReader::read_map);
      default:
        return malformed("0xC1 begins no value");
    }
  }

  template <typename Size>
  bool with_size(bool (MessagePackReader::*read)(std::uint32_t)) {
    Size size = 0;
    return in_.take_big_endian(size) ? (this->*read)(size) : truncated();
  }
  template <typename Bits, typename Float>
  bool read_float() {
    Bits bits = 0;
    return in_.take_big_endian(bits) ? emitter_.on_double(std::bit_cast<Float>(bits)) : truncated();
  }
  template <typename T>
  bool read_unsigned() {
    T value = 0;
    return in_.take_big_endian(value) ? emitter_.on_uint64(value) : truncated();
  }
  template <typename Bits, typename T>
  bool read_signed() {
    Bits bits = 0;
    return in_.take_big_endian(bits) ? emitter_.on_int64(static_cast<T>(bits)) : truncated();
  }

  bool read_string(std::uint32_t size) {
    std::string_view text;
    return in_.take_text(size, text) ? emitter_.on_string(text) : truncated();
  }
  bool read_bytes(std::uint32_t size) {
    std::span<const std::byte> bytes;
    return in_.take_bytes(size, bytes) ? emitter_.on_bytes(bytes) : truncated();
  }

  bool read_extension(std::uint32_t size) {
    std::uint8_t type = 0;
    std::span<const std::byte> bytes;
    if (!in_.take_byte(type) || !in_.take_bytes(size, bytes)) return truncated();
    if (type != 0xFF) {
      return malformed(std::format("extension type {}, which is not read,",
                                   static_cast<int>(static_cast<std::int8_t>(type))));
    }
    ByteReader time(bytes);
    std::uint32_t nanoseconds = 0;
    std::uint32_t short_seconds = 0;
    std::uint64_t seconds = 0;
    bool is_read = false;
    if (size == 4) {
      is_read = time.take_big_endian(short_seconds);
      seconds = short_seconds;
    } else if (size == 8) {
      is_read = time.take_big_endian(seconds);
      nanoseconds = static_cast<std::uint32_t>(seconds >> 34U);
      seconds &= (std::uint64_t{1} << 34U) - 1;
    } else if (size == 12) {
      is_read = time.take_big_endian(nanoseconds) && time.take_big_endian(seconds);
    }
    if (!is_read || nanoseconds > 999'999'999) return malformed("a timestamp that is none");
    return emitter_.on_time(static_cast<std::int64_t>(seconds), nanoseconds);
  }

  bool read_array(std::uint32_t count) {
    if (!believe(count, 1) || !emitter_.begin_array()) return false;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!read_value()) return false;
    }
    return emitter_.end_array();
  }

  bool read_map(std::uint32_t count) {
    if (!believe(count, 2) || !emitter_.begin_object()) return false;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!read_key() || !read_value()) return false;
    }
    return emitter_.end_object();
  }

  bool read_key() {
    std::uint8_t head = 0;
    if (!in_.take_byte(head)) return truncated();
    std::uint32_t size = 0;
    std::uint8_t size8 = 0;
    std::uint16_t size16 = 0;
    bool is_read = true;
    if (head >= 0xA0 && head <= 0xBF) {
      size = head & 0x1FU;
    } else if (head == 0xD9) {
      is_read = in_.take_big_endian(size8);
      size = size8;
    } else if (head == 0xDA) {
      is_read = in_.take_big_endian(size16);
      size = size16;
    } else if (head == 0xDB) {
      is_read = in_.take_big_endian(size);
    } else {
      return malformed("a key that is no text");
    }
    std::string_view key;
    return is_read && in_.take_text(size, key) ? emitter_.on_key(key) : truncated();
  }
};

}  // namespace

std::optional<Rejection> decode_message_pack(std::span<const std::byte> payload,
                                             const PayloadLimits& limits, PayloadSink& sink) {
  Emitter emitter(sink, limits);
  MessagePackReader(payload, emitter).read_all();
  return std::move(emitter.rejection());
}

}  // namespace sluice::validator
