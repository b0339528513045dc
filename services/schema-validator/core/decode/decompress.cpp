#include "core/decode/decompress.h"

#include "core/payload/json_decoder.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <string>
#include <vector>

#include <sluice/base/check.h>

#include <zlib.h>
#include <zstd.h>

namespace sluice::validator {
namespace {

constexpr std::size_t kFirstRoom = 16 * 1024;
constexpr int kGzipOnly = 16;  // added to the window's bits: no zlib header, no raw deflate

std::unexpected<Rejection> refuse(RejectReason reason, std::string detail) {
  return std::unexpected(Rejection{.reason = reason, .detail = std::move(detail)});
}

std::unexpected<Rejection> damaged(std::string_view encoding, std::string_view what) {
  return refuse(RejectReason::kDecompressionFailed, std::format("{}: {}", encoding, what));
}

}  // namespace

struct Decompressor::State {
  ~State() {
    if (has_inflate) inflateEnd(&inflate_stream);
    ZSTD_freeDStream(zstd_stream);
  }

  std::expected<void, Rejection> inflate_all(std::span<const std::byte> input);
  std::expected<void, Rejection> unzstd_all(std::span<const std::byte> input);
  std::expected<void, Rejection> make_room();

  std::vector<std::byte> buffer{};  // always kPayloadPadding more than what may be written
  std::size_t used = 0;
  std::size_t max_output = 0;
  std::string too_large{};  // what to say past max_output
  z_stream inflate_stream{};
  bool has_inflate = false;
  ZSTD_DStream* zstd_stream = nullptr;
};

/// At least one byte to write to; refuses once max_output is full and more would come.
std::expected<void, Rejection> Decompressor::State::make_room() {
  const std::size_t room = buffer.size() < kPayloadPadding ? 0 : buffer.size() - kPayloadPadding;
  if (used < std::min(room, max_output)) return {};
  if (used >= max_output) return refuse(RejectReason::kPayloadTooLarge, too_large);
  buffer.resize(std::min(std::max(kFirstRoom, room * 2), max_output) + kPayloadPadding);
  return {};
}

std::expected<void, Rejection> Decompressor::State::inflate_all(std::span<const std::byte> input) {
  if (!has_inflate) {
    if (inflateInit2(&inflate_stream, MAX_WBITS + kGzipOnly) != Z_OK) {
      return refuse(RejectReason::kInternal, "gzip: no memory");
    }
    has_inflate = true;
  }
  z_stream& stream = inflate_stream;
  // zlib's interface is older than const; it does not write to its input.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  for (;;) {
    if (inflateReset(&stream) != Z_OK) return refuse(RejectReason::kInternal, "gzip: not reset");
    for (int result = Z_OK; result != Z_STREAM_END;) {
      // Room for one byte more than the bound, into the padding, lets the end of a member that
      // fills the bound exactly be read.
      const bool is_full = used >= max_output;
      if (!is_full) {
        if (auto room = make_room(); !room) return room;
      }
      const std::size_t room =
          is_full ? 1 : std::min(buffer.size() - kPayloadPadding, max_output) - used;
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data() + used);
      stream.avail_out = static_cast<uInt>(room);
      result = inflate(&stream, Z_NO_FLUSH);
      const std::size_t written = room - stream.avail_out;
      if (is_full && written > 0) return refuse(RejectReason::kPayloadTooLarge, too_large);
      used += written;
      if (result == Z_STREAM_END) break;
      if (result == Z_BUF_ERROR ||
          (result == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)) {
        return damaged("gzip", "the input ends early");
      }
      if (result != Z_OK) {
        return damaged("gzip", stream.msg != nullptr ? stream.msg : "damaged");
      }
    }
    if (stream.avail_in == 0) return {};
  }
}

std::expected<void, Rejection> Decompressor::State::unzstd_all(std::span<const std::byte> input) {
  if (zstd_stream == nullptr) {
    zstd_stream = ZSTD_createDStream();
    if (zstd_stream == nullptr) return refuse(RejectReason::kInternal, "zstd: no memory");
    const std::size_t set =
        ZSTD_DCtx_setParameter(zstd_stream, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
    SLUICE_CHECK(ZSTD_isError(set) == 0);
  }
  ZSTD_DCtx_reset(zstd_stream, ZSTD_reset_session_only);
  ZSTD_inBuffer in{.src = input.data(), .size = input.size(), .pos = 0};
  std::size_t result = 1;
  while (in.pos < in.size || result != 0) {
    const bool is_full = used >= max_output;
    if (!is_full) {
      if (auto room = make_room(); !room) return room;
    }
    const std::size_t room =
        is_full ? 1 : std::min(buffer.size() - kPayloadPadding, max_output) - used;
    ZSTD_outBuffer out{.dst = buffer.data() + used, .size = room, .pos = 0};
    const std::size_t before = in.pos;
    result = ZSTD_decompressStream(zstd_stream, &out, &in);
    if (ZSTD_isError(result) != 0) return damaged("zstd", ZSTD_getErrorName(result));
    if (is_full && out.pos > 0) return refuse(RejectReason::kPayloadTooLarge, too_large);
    used += out.pos;
    if (in.pos == before && out.pos == 0 && result != 0)
      return damaged("zstd", "the input ends early");
  }
  return {};
}

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;

std::size_t Decompressor::capacity() const { return state_->buffer.capacity(); }

std::expected<std::span<const std::byte>, Rejection> Decompressor::decompress(
    std::string_view encoding, std::span<const std::byte> input, const DecompressLimits& limits) {
  if (encoding != "gzip" && encoding != "zstd") {
    return refuse(
        RejectReason::kUnsupportedEncoding,
        std::format("content encoding {} is not read, gzip and zstd are", encoding.substr(0, 32)));
  }
  if (input.size() > UINT32_MAX) {
    return refuse(RejectReason::kPayloadTooLarge, "more compressed bytes than any message has");
  }
  State& state = *state_;
  state.used = 0;
  const std::size_t by_ratio = input.size() > SIZE_MAX / std::max<std::size_t>(limits.max_ratio, 1)
                                   ? SIZE_MAX
                                   : input.size() * limits.max_ratio;
  state.max_output = std::min(limits.max_bytes, std::max(by_ratio, kFreeBytes));
  state.too_large =
      state.max_output == limits.max_bytes
          ? std::format("more than {} bytes once decompressed (max_bytes)", limits.max_bytes)
          : std::format("{} compressed bytes become more than {} times as many (max_ratio)",
                        input.size(), limits.max_ratio);
  if (state.buffer.size() < kPayloadPadding) state.buffer.resize(kPayloadPadding);
  auto done = encoding == "gzip" ? state.inflate_all(input) : state.unzstd_all(input);
  if (!done) return std::unexpected(std::move(done).error());
  std::memset(state.buffer.data() + state.used, 0, kPayloadPadding);
  return std::span<const std::byte>(state.buffer).first(state.used);
}

}  // namespace sluice::validator
