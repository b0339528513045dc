#include "kernels.h"

#include "kernels_body.h"

#include <utility>

// A function per loop and instruction set, chosen once at run time: a container image must start on
// any x86-64, and the loops pay by up to three times where there is AVX2.
namespace sluice::series {
namespace {

constexpr std::make_index_sequence<64> kWidths;

namespace portable {
BlockRanges ranges(const std::uint64_t* values, std::size_t begin, std::size_t end,
                   std::uint64_t slope) {
  return body::ranges(values, begin, end, slope);
}
Extremes extremes(const std::uint64_t* values, std::size_t count) {
  return body::extremes(values, count);
}
std::size_t quantise(const double* values, std::size_t count, double scale, std::uint64_t* out) {
  return body::quantise<false>(values, count, scale, out);
}
std::size_t quantise32(const double* values, std::size_t count, double scale, std::uint64_t* out) {
  return body::quantise<true>(values, count, scale, out);
}
void dequantise(const std::uint64_t* integers, std::size_t count, double scale, double* out) {
  body::dequantise<false>(integers, count, scale, out);
}
void dequantise32(const std::uint64_t* integers, std::size_t count, double scale, double* out) {
  body::dequantise<true>(integers, count, scale, out);
}
void pack(const std::uint64_t* values, std::size_t count, std::uint64_t base, unsigned width,
          std::byte* out) {
  body::pack(values, count, base, width, out, kWidths);
}
void unpack(const std::byte* in, std::size_t count, std::uint64_t base, unsigned width,
            std::uint64_t* out) {
  body::unpack(in, count, base, width, out, kWidths);
}
void centre(const std::uint64_t* values, std::size_t count, std::uint64_t centre,
            std::uint64_t* out) {
  body::centre(values, count, centre, out);
}
std::size_t count_wider(const std::uint64_t* values, std::size_t count, unsigned width) {
  return body::count_wider(values, count, width);
}
constexpr Kernels kKernels = {ranges,       extremes, quantise, quantise32, dequantise,
                              dequantise32, pack,     unpack,   centre,     count_wider};
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
[[gnu::target("avx2")]] BlockRanges ranges(const std::uint64_t* values, std::size_t begin,
                                           std::size_t end, std::uint64_t slope) {
  return body::ranges(values, begin, end, slope);
}
[[gnu::target("avx2")]] Extremes extremes(const std::uint64_t* values, std::size_t count) {
  return body::extremes(values, count);
}
[[gnu::target("avx2")]] std::size_t quantise(const double* values, std::size_t count, double scale,
                                             std::uint64_t* out) {
  return body::quantise<false>(values, count, scale, out);
}
[[gnu::target("avx2")]] std::size_t quantise32(const double* values, std::size_t count,
                                               double scale, std::uint64_t* out) {
  return body::quantise<true>(values, count, scale, out);
}
[[gnu::target("avx2")]] void dequantise(const std::uint64_t* integers, std::size_t count,
                                        double scale, double* out) {
  body::dequantise<false>(integers, count, scale, out);
}
[[gnu::target("avx2")]] void dequantise32(const std::uint64_t* integers, std::size_t count,
                                          double scale, double* out) {
  body::dequantise<true>(integers, count, scale, out);
}
[[gnu::target("avx2")]] void pack(const std::uint64_t* values, std::size_t count,
                                  std::uint64_t base, unsigned width, std::byte* out) {
  body::pack(values, count, base, width, out, kWidths);
}
[[gnu::target("avx2")]] void unpack(const std::byte* in, std::size_t count, std::uint64_t base,
                                    unsigned width, std::uint64_t* out) {
  body::unpack(in, count, base, width, out, kWidths);
}
[[gnu::target("avx2")]] void centre(const std::uint64_t* values, std::size_t count,
                                    std::uint64_t centre, std::uint64_t* out) {
  body::centre(values, count, centre, out);
}
[[gnu::target("avx2")]] std::size_t count_wider(const std::uint64_t* values, std::size_t count,
                                                unsigned width) {
  return body::count_wider(values, count, width);
}
constexpr Kernels kKernels = {ranges,       extremes, quantise, quantise32, dequantise,
                              dequantise32, pack,     unpack,   centre,     count_wider};
}  // namespace avx2
#endif

}  // namespace

const Kernels& portable_kernels() { return portable::kKernels; }

const Kernels* avx2_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return &avx2::kKernels;
#endif
  return nullptr;
}

const Kernels& kernels() {
  static const Kernels& best = avx2_kernels() != nullptr ? *avx2_kernels() : portable_kernels();
  return best;
}

}  // namespace sluice::series
