// SPDX-License-Identifier: Apache-2.0
// NEON: packing, transposing and rounding, in 4 x 4 words.
#include "model/native/product_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "model/native/bfloat16.h"

#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kLanes = 4;
constexpr std::size_t kWord = sizeof(std::uint32_t);
constexpr std::size_t kPanelRow = kPanelColumns * kWord;

COPPICE_INLINE std::uint32_t* words_at(std::byte* bytes) {
  return reinterpret_cast<std::uint32_t*>(bytes);
}

// `bytes` of a row, and zeros behind them.
COPPICE_INLINE uint32x4_t load_part(const std::byte* from, std::size_t bytes) {
  if (bytes >= kLanes * kWord) {
    return vreinterpretq_u32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(from)));
  }
  std::uint32_t part[kLanes] = {};
  std::memcpy(part, from, bytes);
  return vld1q_u32(part);
}

COPPICE_INLINE void transpose4(uint32x4_t (&r)[4]) {
  const uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(r[0], r[1]));
  const uint64x2_t b = vreinterpretq_u64_u32(vtrn2q_u32(r[0], r[1]));
  const uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(r[2], r[3]));
  const uint64x2_t d = vreinterpretq_u64_u32(vtrn2q_u32(r[2], r[3]));
  r[0] = vreinterpretq_u32_u64(vtrn1q_u64(a, c));
  r[1] = vreinterpretq_u32_u64(vtrn1q_u64(b, d));
  r[2] = vreinterpretq_u32_u64(vtrn2q_u64(a, c));
  r[3] = vreinterpretq_u32_u64(vtrn2q_u64(b, d));
}

// Both precisions alike: words change places, and a pair of bfloat16 is a word. Reading only the
// bytes of `depth` makes the half word behind an odd one zero.
template <std::size_t kBytes>
void pack_transposed(const std::byte* source, std::size_t stride, std::size_t columns,
                     std::size_t depth, std::byte* panel) {
  const std::size_t row_bytes = stride * kBytes;
  const std::size_t bytes = depth * kBytes;
  for (std::size_t at = 0; at < bytes; at += kLanes * kWord) {
    const std::size_t left = bytes - at;
    const std::size_t count = std::min(kLanes, (left + kWord - 1) / kWord);
    for (std::size_t column = 0; column < kPanelColumns; column += kLanes) {
      uint32x4_t r[4];
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) {
        r[i] = column + i < columns ? load_part(source + (column + i) * row_bytes + at, left)
                                    : vdupq_n_u32(0);
      }
      transpose4(r);
      std::byte* out = panel + at / kWord * kPanelRow + column * kWord;
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) {
        if (i < count) vst1q_u32(words_at(out + i * kPanelRow), r[i]);
      }
    }
  }
}

void pack_rows_f32(const std::byte* source, std::size_t stride, std::size_t depth,
                   std::size_t columns, std::byte* panel) {
  for (std::size_t k = 0; k < depth; ++k, panel += kPanelRow) {
    std::memcpy(panel, source + k * stride * kWord, columns * kWord);
    std::memset(panel + columns * kWord, 0, (kPanelColumns - columns) * kWord);
  }
}

void pack_rows_bf16(const std::byte* source, std::size_t stride, std::size_t depth,
                    std::size_t columns, std::byte* panel) {
  constexpr std::size_t kEight = 8;
  for (std::size_t k = 0; k < depth; k += 2, panel += kPanelRow) {
    const std::byte* even = source + k * stride * 2;
    const std::byte* odd = even + stride * 2;
    for (std::size_t column = 0; column < kPanelColumns; column += kEight) {
      const std::size_t left = column < columns ? 2 * std::min(kEight, columns - column) : 0;
      const uint16x8_t a = vreinterpretq_u16_u32(load_part(even + 2 * column, left));
      const uint16x8_t b =
          vreinterpretq_u16_u32(load_part(odd + 2 * column, k + 1 < depth ? left : 0));
      vst1q_u32(words_at(panel + column * kWord), vreinterpretq_u32_u16(vzip1q_u16(a, b)));
      vst1q_u32(words_at(panel + column * kWord) + kLanes, vreinterpretq_u32_u16(vzip2q_u16(a, b)));
    }
  }
}

// As to_bfloat16(): BFCVT would keep subnormals.
COPPICE_INLINE uint16x4_t narrow4(uint32x4_t bits) {
  const uint32x4_t infinity = vdupq_n_u32(0x7F800000);
  const uint32x4_t magnitude = vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF));
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);
  const uint32x4_t subnormal = vcltq_u32(magnitude, vdupq_n_u32(0x00800000));
  rounded = vbslq_u32(subnormal, vandq_u32(bits, vdupq_n_u32(0x80000000)), rounded);
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
  rounded = vbslq_u32(vcgtq_u32(magnitude, infinity), quiet, rounded);
  return vshrn_n_u32(rounded, 16);
}

void narrow_bf16(const float* source, std::size_t n, std::byte* elements) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const uint16x4_t narrow = narrow4(vreinterpretq_u32_f32(vld1q_f32(source + i)));
    vst1_u16(reinterpret_cast<std::uint16_t*>(elements) + i, narrow);
  }
  for (; i < n; ++i) reinterpret_cast<std::uint16_t*>(elements)[i] = to_bfloat16(source[i]);
}

void widen_bf16(const std::byte* elements, std::size_t n, float* out) {
  const auto* from = reinterpret_cast<const std::uint16_t*>(elements);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from + i), 16)));
  }
  for (; i < n; ++i) out[i] = widen_bfloat16(from[i]);
}

void copy_in(const float* source, std::size_t n, std::byte* elements) {
  std::memmove(elements, source, n * sizeof(float));
}

void copy_out(const std::byte* elements, std::size_t n, float* out) {
  std::memcpy(out, elements, n * sizeof(float));
}

// Of 4 x 4 floats at a time; bfloat16 are narrowed after.
template <bool kNarrow>
void transpose(const float* source, std::size_t stride, std::size_t rows, std::size_t columns,
               std::byte* out, std::size_t out_stride) {
  constexpr std::size_t kBytes = kNarrow ? 2 : 4;
  for (std::size_t row = 0; row < rows; row += kLanes) {
    const std::size_t height = std::min(kLanes, rows - row);
    for (std::size_t column = 0; column < columns; column += kLanes) {
      const std::size_t width = std::min(kLanes, columns - column);
      uint32x4_t r[4];
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) {
        const float* from = source + (row + i) * stride + column;
        r[i] = i < height ? load_part(reinterpret_cast<const std::byte*>(from), width * kWord)
                          : vdupq_n_u32(0);
      }
      transpose4(r);
      for (std::size_t i = 0; i < width; ++i) {
        std::uint32_t words[kLanes];
        vst1q_u32(words, r[i]);
        if constexpr (kNarrow) vst1_u16(reinterpret_cast<std::uint16_t*>(words), narrow4(r[i]));
        std::memcpy(out + ((column + i) * out_stride + row) * kBytes, words, height * kBytes);
      }
    }
  }
}

constexpr ProductKernels kFloat32Layout{.precision = Precision::kFloat32,
                                        .element_bytes = 4,
                                        .depth_step = 1,
                                        .whole_step = 1,
                                        .multiply = nullptr,
                                        .from_float = copy_in,
                                        .to_float = copy_out,
                                        .pack_transposed = pack_transposed<4>,
                                        .pack_rows = pack_rows_f32,
                                        .transpose = transpose<false>};

constexpr ProductKernels kBfloat16Layout{.precision = Precision::kBfloat16,
                                         .element_bytes = 2,
                                         .depth_step = 2,
                                         .whole_step = 2,
                                         .multiply = nullptr,
                                         .from_float = narrow_bf16,
                                         .to_float = widen_bf16,
                                         .pack_transposed = pack_transposed<2>,
                                         .pack_rows = pack_rows_bf16,
                                         .transpose = transpose<true>};

} // namespace

namespace levels {
ProductKernels neon_layout(Precision precision) {
  return precision == Precision::kFloat32 ? kFloat32Layout : kBfloat16Layout;
}
} // namespace levels

} // namespace coppice::native
#endif
