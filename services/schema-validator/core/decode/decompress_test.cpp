#include "core/decode/decompress.h"

#include "core/payload/json_decoder.h"
#include "testing/hostile.h"

#include <string>

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace sluice::validator {
namespace {

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string compress(std::string_view encoding, std::string_view text) {
  return encoding == "gzip" ? gzip(text) : zstd(text);
}

/// Text that hardly compresses.
std::string noise(std::size_t size) {
  std::string text;
  for (std::uint64_t state = 1; text.size() < size;) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    text += static_cast<char>(state >> 56U);
  }
  return text;
}

class DecompressTest : public testing::TestWithParam<std::string_view> {
 protected:
  std::string undo(const std::string& input, const DecompressLimits& limits = {}) {
    const auto result = decompressor.decompress(GetParam(), bytes_of(input), limits);
    if (!result) return std::string(name_of(result.error().reason));
    return {reinterpret_cast<const char*>(result->data()), result->size()};
  }
  std::string compressed(std::string_view text) const { return compress(GetParam(), text); }

  Decompressor decompressor{};
};

TEST_P(DecompressTest, GivesBackWhatWasCompressed) {
  for (const std::size_t size : {0U, 1U, 100U, 16'384U, 16'385U, 65'536U, 300'000U, 1'048'576U}) {
    const std::string text = noise(size);
    EXPECT_EQ(undo(compressed(text)), text) << size;
  }
}

TEST_P(DecompressTest, LeavesReadableZerosBehindTheResult) {
  for (const std::size_t size : {0U, 70U, 16'384U, 1'048'576U}) {
    const std::string input = compressed(noise(size));
    const auto result = decompressor.decompress(GetParam(), bytes_of(input), {});
    ASSERT_TRUE(result);
    for (std::size_t i = 0; i < kPayloadPadding; ++i)
      EXPECT_EQ(*(result->data() + size + i), std::byte{0});
  }
}

TEST_P(DecompressTest, ReadsSeveralMembers) {
  EXPECT_EQ(undo(compressed("one ") + compressed("") + compressed("two")), "one two");
}

TEST_P(DecompressTest, StopsAtTheBoundAndNotBefore) {
  const std::string text = noise(100'000);
  EXPECT_EQ(undo(compressed(text), {.max_bytes = 100'000}), text);
  EXPECT_EQ(undo(compressed(text), {.max_bytes = 99'999}), "payload_too_large");
  EXPECT_LE(decompressor.capacity(), 200'000U);
}

TEST_P(DecompressTest, StopsABombByItsRatio) {
  const std::string bomb = compressed(std::string(100'000'000, '\0'));
  EXPECT_EQ(undo(bomb, {.max_bytes = SIZE_MAX / 2}), "payload_too_large");
  EXPECT_LE(decompressor.capacity(), 2 * bomb.size() * 200 + Decompressor::kFreeBytes);
}

TEST_P(DecompressTest, TakesNoShortRunOfZerosForABomb) {
  const std::string zeros(60'000, '\0');
  EXPECT_EQ(undo(compressed(zeros)), zeros);
}

TEST_P(DecompressTest, RefusesEveryBeginning) {
  for_each_beginning(compressed(noise(1'000)), [&](std::span<const std::byte> part) {
    const auto result = decompressor.decompress(GetParam(), part, {});
    ASSERT_FALSE(result) << part.size();
    EXPECT_EQ(result.error().reason, RejectReason::kDecompressionFailed) << part.size();
  });
}

TEST_P(DecompressTest, EndsWithBytesOrAReasonWhateverComes) {
  const std::string text = noise(500) + std::string(500, 'a');
  int refused = 0;
  for_each_damage(compressed(text), 3'000, [&](std::span<const std::byte> damaged) {
    const auto result = decompressor.decompress(GetParam(), damaged, {});
    refused += result ? 0 : 1;
  });
  EXPECT_GT(refused, 0);
  EXPECT_EQ(undo(compressed(text)), text);  // and it is as good as new
}

TEST_P(DecompressTest, RefusesWhatFollowsTheEnd) {
  EXPECT_EQ(undo(compressed("text") + "and more"), "decompression_failed");
}

INSTANTIATE_TEST_SUITE_P(Encodings, DecompressTest, testing::Values("gzip", "zstd"),
                         [](const auto& each) { return std::string(each.param); });

TEST(Decompress, RefusesAnEncodingThatItDoesNotKnow) {
  Decompressor decompressor;
  for (const char* encoding : {"", "br", "deflate", "GZIP"}) {
    const auto result = decompressor.decompress(encoding, {}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, RejectReason::kUnsupportedEncoding);
  }
}

TEST(Decompress, RefusesAZstdFrameThatWantsAHugeWindow) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
  const std::string text = noise(1'000);
  std::string frame(10'000, '\0');
  ZSTD_outBuffer out{.dst = frame.data(), .size = frame.size(), .pos = 0};
  ZSTD_inBuffer in{.src = text.data(), .size = text.size(), .pos = 0};
  // Without a known size the frame tells its window.
  ASSERT_EQ(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue)), 0U);
  ASSERT_EQ(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end)), 0U);
  ZSTD_freeCCtx(context);
  frame.resize(out.pos);
  Decompressor decompressor;
  const auto result = decompressor.decompress("zstd", bytes_of(frame), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, RejectReason::kDecompressionFailed);
}

}  // namespace
}  // namespace sluice::validator
