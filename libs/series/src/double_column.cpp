#include "double_column.h"

#include "xor_stream.h"

#include <algorithm>
#include <array>
#include <bit>

namespace sluice::series {
namespace {

// The first byte: the codec in its low four bits, the digits of decimals in its high ones.
enum class DoubleCodec : unsigned {
  kRaw = 0,
  kConstant = 1,
  kDecimal = 2,
  kDecimalWithExceptions = 3,
  kFloatDecimal = 4,
  kFloatDecimalWithExceptions = 5,
  kXor = 6,
  kOrdered = 7,
};
constexpr unsigned kDigitsShift = 4;

/// Decimals that take less than this are not tried against the other codecs: those see 52 noisy
/// bits of mantissa in a decimal.
constexpr std::size_t kGoodBytesPerValue = 4;

constexpr std::size_t kXorSample = 64;

/// A double's bits as an integer that rises with the value, so that neighbours differ by little.
std::uint64_t ordered(std::uint64_t bits) {
  return bits ^ (static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> 63) >> 1);
}

void put_head(Bytes& out, DoubleCodec codec, unsigned digits = 0) {
  put_byte(out, static_cast<unsigned>(codec) | digits << kDigitsShift);
}

void put_decimals(const Decimals& decimals, Bytes& out, IntScratch& scratch) {
  const bool has_exceptions = !decimals.exceptions.empty();
  unsigned codec = static_cast<unsigned>(DoubleCodec::kDecimal);
  if (decimals.as_float) codec += 2;
  if (has_exceptions) codec += 1;
  put_head(out, static_cast<DoubleCodec>(codec), decimals.digits);
  if (has_exceptions) {
    put_varint(out, decimals.exceptions.size());
    std::size_t next = 0;
    for (const auto& [at, bits] : decimals.exceptions) {
      put_varint(out, at - next);
      put_fixed64(out, bits);
      next = at + 1;
    }
  }
  encode_integers(decimals.integers, out, scratch);
}

void put_ordered(std::span<const std::uint64_t> bits, Bytes& out, DoubleScratch& scratch) {
  // Zeros at the end that all have, as floats and small fractions do, are written once.
  std::uint64_t all = 0;
  for (const std::uint64_t value : bits) all |= value;
  const auto shift = std::min(63U, static_cast<unsigned>(std::countr_zero(all)));
  put_head(out, DoubleCodec::kOrdered);
  put_byte(out, shift);
  auto& shifted = scratch.decimals.integers;
  shifted.resize(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    shifted[i] = static_cast<std::uint64_t>(static_cast<std::int64_t>(ordered(bits[i])) >> shift);
  }
  encode_integers(shifted, out, scratch.integers);
}

/// What is not decimal: the shortest of the codecs for any bits.
void put_binary(std::span<const std::uint64_t> bits, Bytes& out, DoubleScratch& scratch) {
  const std::size_t start = out.size();
  put_ordered(bits, out, scratch);
  const std::size_t ordered_size = out.size() - start;
  const std::size_t raw_size = 1 + bits.size() * 8;
  // Most often a look at the beginning tells that XOR would be longer, and spares the rest of it.
  const std::size_t looked_at = std::min(bits.size(), kXorSample);
  const std::size_t expected = xor_size(bits.first(looked_at)) * bits.size() / looked_at;
  if (ordered_size <= raw_size && expected > ordered_size + ordered_size / 8) return;
  const std::size_t xor_bytes = 1 + xor_size(bits);
  if (ordered_size <= std::min(raw_size, xor_bytes)) return;
  out.resize(start);
  if (xor_bytes < raw_size) {
    put_head(out, DoubleCodec::kXor);
    encode_xor(bits, out);
    return;
  }
  put_head(out, DoubleCodec::kRaw);
  for (const std::uint64_t value : bits) put_fixed64(out, value);
}

void get_decimals(Cursor& cursor, unsigned codec, unsigned digits, std::span<double> out,
                  std::vector<std::uint64_t>& scratch) {
  const bool as_float = codec >= static_cast<unsigned>(DoubleCodec::kFloatDecimal);
  const bool has_exceptions = codec % 2 != 0;
  Cursor exceptions = cursor;
  if (has_exceptions) {
    // Looked through here, and read again once there are values to put them among.
    const std::uint64_t count = cursor.varint();
    if (count > out.size()) return cursor.fail();
    std::uint64_t next = 0;
    for (std::uint64_t i = 0; i < count && !cursor.has_failed(); ++i) {
      const std::uint64_t skipped = cursor.varint();
      cursor.fixed64();
      if (skipped >= out.size() - next) return cursor.fail();
      next += skipped + 1;
    }
  }
  if (cursor.has_failed()) return;
  scratch.resize(out.size());
  decode_integers(cursor, scratch);
  if (cursor.has_failed()) return;
  from_decimals(scratch, digits, as_float, out);
  if (!has_exceptions) return;
  std::uint64_t next = 0;
  for (std::uint64_t left = exceptions.varint(); left > 0; --left) {
    next += exceptions.varint();
    out[next++] = std::bit_cast<double>(exceptions.fixed64());
  }
}

void get_ordered(Cursor& cursor, std::span<double> out, std::vector<std::uint64_t>& scratch) {
  const unsigned shift = cursor.byte();
  if (shift > 63) return cursor.fail();
  scratch.resize(out.size());
  decode_integers(cursor, scratch);
  if (cursor.has_failed()) return;
  for (std::size_t i = 0; i < out.size(); ++i) {
    // The shift was arithmetic: a negative value's low bits were ones of the ordered form, and
    // zeros of the value.
    const std::uint64_t sign = 0 - (scratch[i] >> 63);
    const std::uint64_t low = sign & ((std::uint64_t{1} << shift) - 1);
    out[i] = std::bit_cast<double>(ordered(scratch[i] << shift | low));
  }
}

}  // namespace

void encode_doubles(std::span<const double> values, Bytes& out, DoubleScratch& scratch) {
  const std::size_t start = out.size();
  const bool is_decimal = find_decimals(values, scratch.decimals);
  if (is_decimal) {
    put_decimals(scratch.decimals, out, scratch.integers);
    if (out.size() - start <= 4 + kGoodBytesPerValue * values.size()) return;
  }
  scratch.bits.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    scratch.bits[i] = std::bit_cast<std::uint64_t>(values[i]);
  }
  scratch.candidate.clear();
  if (std::all_of(scratch.bits.begin(), scratch.bits.end(),
                  [&](std::uint64_t bits) { return bits == scratch.bits[0]; })) {
    put_head(scratch.candidate, DoubleCodec::kConstant);
    put_fixed64(scratch.candidate, scratch.bits[0]);
  } else {
    put_binary(scratch.bits, scratch.candidate, scratch);
  }
  if (is_decimal && out.size() - start <= scratch.candidate.size()) return;
  out.resize(start);
  put_bytes(out, scratch.candidate);
}

void decode_doubles(Cursor& cursor, std::span<double> out, std::vector<std::uint64_t>& scratch) {
  const unsigned head = cursor.byte();
  const unsigned codec = head & 0xf;
  const unsigned digits = head >> kDigitsShift;
  switch (static_cast<DoubleCodec>(codec)) {
    case DoubleCodec::kRaw:
      if (cursor.left() < out.size() * 8) return cursor.fail();
      for (double& value : out) value = std::bit_cast<double>(cursor.fixed64());
      return;
    case DoubleCodec::kConstant:
      std::fill(out.begin(), out.end(), std::bit_cast<double>(cursor.fixed64()));
      return;
    case DoubleCodec::kDecimal:
    case DoubleCodec::kDecimalWithExceptions:
    case DoubleCodec::kFloatDecimal:
    case DoubleCodec::kFloatDecimalWithExceptions:
      return get_decimals(cursor, codec, digits, out, scratch);
    case DoubleCodec::kXor:
      scratch.resize(out.size());
      decode_xor(cursor, scratch);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<double>(scratch[i]);
      return;
    case DoubleCodec::kOrdered:
      return get_ordered(cursor, out, scratch);
  }
  cursor.fail();
}

std::string_view double_codec_name(unsigned codec) {
  constexpr std::array<std::string_view, 8> kNames = {
      "raw", "constant", "decimal", "decimal", "float_decimal", "float_decimal", "xor", "ordered"};
  return (codec & 0xf) < kNames.size() ? kNames[codec & 0xf] : "unknown";
}

}  // namespace sluice::series
