// SPDX-License-Identifier: Apache-2.0
// The one product that training and prefill are made of: rows times a packed panel of 64 columns.
//
//   c (rows, columns) = or += sum over segments s of  a_s (rows, depth_s) * panel_s (depth_s,
//   columns)
//
// Elements are float32, bfloat16, or float32 split into two bfloat16 (Note [Split elements] in
// product_split.h); sums are float32. An element of c adds its products in the
// order of segments and depth, whatever the number of rows, columns or threads: results repeat bit
// for bit within one instruction level. Note [Panels]
//   float32:  panel[k][64]          one row of 64 columns a k
//   bfloat16: panel[k / 2][64][2]   pairs of k side by side, as VDPBF16PS and AMX tiles take them
// An odd depth is padded with a zero: rows of `a` then need a finite element behind their last.
// Panels are 64-byte aligned. Nothing is allocated. Pure functions: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/native/cpu_level.h"

namespace coppice::native {

enum class Precision : std::uint8_t { kFloat32, kBfloat16, kSplit };

inline constexpr std::size_t kPanelColumns = 64;
inline constexpr std::size_t kPanelAlignment = 64;

// Rows of elements (row-major), and the panel that they meet.
struct Segment {
  const std::byte* rows = nullptr;
  std::size_t stride = 0; // elements from one row to the next
  std::size_t depth = 0;
  const std::byte* panel = nullptr;
  bool followed = false; // by what is multiplied next: it may be fetched meanwhile
};

struct ProductKernels {
  Precision precision;
  std::size_t element_bytes;
  // Depths side by side in a panel: 1 for float32, 2 for bfloat16, 32 for split elements, whose
  // column ranges begin at multiples of it.
  std::size_t depth_step;
  // Depths that `multiply` takes at once: a segment of whole steps costs no more than a shorter
  // one.
  std::size_t whole_step;

  // columns <= 64; `c` has c_stride floats a row.
  void (*multiply)(std::size_t rows, std::size_t columns, std::span<const Segment> segments,
                   float* c, std::size_t c_stride, bool add);
  // Float32 to elements, to nearest even, and back. Split elements are filled up with zeros to a
  // whole step.
  void (*from_float)(const float* source, std::size_t n, std::byte* elements);
  void (*to_float)(const std::byte* elements, std::size_t n, float* out);
  // A panel of `columns` rows of `source` (columns, depth): panel column j is source row j. Columns
  // beyond are zero up to a multiple of 16, and nobody reads the others.
  void (*pack_transposed)(const std::byte* source, std::size_t stride, std::size_t columns,
                          std::size_t depth, std::byte* panel);
  // A panel of `depth` rows of `source` (depth, columns), as it stands.
  void (*pack_rows)(const std::byte* source, std::size_t stride, std::size_t depth,
                    std::size_t columns, std::byte* panel);
  // out (columns, rows) elements = the transpose of floats (rows, columns). Null for split ones.
  void (*transpose)(const float* source, std::size_t stride, std::size_t rows, std::size_t columns,
                    std::byte* out, std::size_t out_stride);

  std::size_t panel_bytes(std::size_t depth) const {
    return padded(depth) * kPanelColumns * element_bytes;
  }
  // Depths of a stored row are padded to this, with zeros, so that every row is a whole segment.
  std::size_t padded(std::size_t depth) const {
    return (depth + depth_step - 1) / depth_step * depth_step;
  }
  std::size_t whole(std::size_t depth) const {
    return (depth + whole_step - 1) / whole_step * whole_step;
  }
};

// The best kernels of a level. bfloat16 exists where the processor multiplies it (neon with BF16,
// amx) and where that is faster (avx512, see Note [Slow dot products]), and as the scalar
// reference; elsewhere float32 is given in its place. kSplit gives products that are right to 2^-17
// in the fastest way: split where bfloat16 is more than three times as fast as float32 (amx), else
// float32.
const ProductKernels& product_kernels(CpuLevel level, Precision precision);

// What an engine multiplies with. The way back forgives rounding that the way there doesn't:
// rounded scores and logits change a gradient by up to a tenth of its size, rounded gradients by a
// thousandth.
struct EngineKernels {
  const ProductKernels& precise; // scoring, and the way there of training
  const ProductKernels& fast;    // the way back, and generating
};

// Of each file; null where the build or a level hasn't it.
namespace levels {
extern const ProductKernels kScalarFloat32;
extern const ProductKernels kScalarBfloat16;
extern const ProductKernels kScalarSplit;
extern const ProductKernels kAvx2Float32;
extern const ProductKernels kAvx512Float32;
extern const ProductKernels kAvx512Bfloat16;
extern const ProductKernels kAvx512Split; // all but `multiply`
extern const ProductKernels kAmxBfloat16;
extern const ProductKernels kAmxSplit;
extern const ProductKernels kNeonFloat32;
extern const ProductKernels kNeonBfloat16;
// All but `multiply`.
ProductKernels neon_layout(Precision precision);
} // namespace levels

} // namespace coppice::native
