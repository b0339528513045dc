#include "flag_stream.h"

#include <algorithm>
#include <vector>

namespace sluice::series {
namespace {

enum class FlagCodec : unsigned {
  kAllFalse = 0,
  kAllTrue = 1,
  kBits = 2,
  kRunsFromFalse = 3,
  kRunsFromTrue = 4,
};

void put_bits(std::span<const std::uint8_t> flags, Bytes& out) {
  std::byte* const bits = grow(out, (flags.size() + 7) / 8);
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (flags[i] != 0) bits[i / 8] |= static_cast<std::byte>(1U << (i % 8));
  }
}

void get_bits(Cursor& cursor, std::span<std::uint8_t> out) {
  const auto bits = cursor.take((out.size() + 7) / 8);
  if (cursor.has_failed()) return;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1;
  }
  const bool has_padding =
      out.size() % 8 != 0 && std::to_integer<unsigned>(bits.back()) >> (out.size() % 8) != 0;
  if (has_padding) cursor.fail();
}

void get_runs(Cursor& cursor, std::uint8_t flag, std::span<std::uint8_t> out) {
  const std::uint64_t count = cursor.varint();
  // Before memory is taken for them: a run is of one flag at least.
  if (count < 2 || count > out.size()) return cursor.fail();
  std::vector<std::uint64_t> lengths(count);
  decode_integers(cursor, lengths);
  std::size_t at = 0;
  for (const std::uint64_t length : lengths) {
    if (cursor.has_failed() || length == 0 || length > out.size() - at) return cursor.fail();
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at), length, flag);
    at += static_cast<std::size_t>(length);
    flag ^= 1;
  }
  if (at != out.size()) cursor.fail();
}

}  // namespace

void encode_flags(std::span<const std::uint8_t> flags, Bytes& out, IntScratch& scratch) {
  std::size_t runs = 1;
  for (std::size_t i = 1; i < flags.size(); ++i) runs += (flags[i] != 0) != (flags[i - 1] != 0);
  if (runs == 1) {
    put_byte(out,
             static_cast<unsigned>(flags[0] != 0 ? FlagCodec::kAllTrue : FlagCodec::kAllFalse));
    return;
  }
  const std::size_t start = out.size();
  const std::size_t bits_size = 1 + (flags.size() + 7) / 8;
  // A run takes four bits or more, but where all are about equally long.
  if (runs <= flags.size() / 2) {
    const auto codec = flags[0] != 0 ? FlagCodec::kRunsFromTrue : FlagCodec::kRunsFromFalse;
    put_byte(out, static_cast<unsigned>(codec));
    put_varint(out, runs);
    std::vector<std::uint64_t> lengths;
    lengths.reserve(runs);
    std::size_t begin = 0;
    for (std::size_t i = 1; i <= flags.size(); ++i) {
      if (i < flags.size() && (flags[i] != 0) == (flags[begin] != 0)) continue;
      lengths.push_back(i - begin);
      begin = i;
    }
    encode_integers(lengths, out, scratch);
    if (out.size() - start <= bits_size) return;
    out.resize(start);
  }
  put_byte(out, static_cast<unsigned>(FlagCodec::kBits));
  put_bits(flags, out);
}

void decode_flags(Cursor& cursor, std::span<std::uint8_t> out) {
  switch (const unsigned codec = cursor.byte(); static_cast<FlagCodec>(codec)) {
    case FlagCodec::kAllFalse:
    case FlagCodec::kAllTrue:
      std::fill(out.begin(), out.end(), static_cast<std::uint8_t>(codec));
      return;
    case FlagCodec::kBits:
      return get_bits(cursor, out);
    case FlagCodec::kRunsFromFalse:
      return get_runs(cursor, 0, out);
    case FlagCodec::kRunsFromTrue:
      return get_runs(cursor, 1, out);
  }
  cursor.fail();
}

std::string_view flag_codec_name(unsigned codec) {
  return codec < 2 ? "constant" : codec == 2 ? "bits" : "runs";
}

}  // namespace sluice::series
