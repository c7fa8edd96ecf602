// SPDX-License-Identifier: Apache-2.0
// The reference of Note [Split elements].
#include <algorithm>
#include <cstring>

#include "model/native/bfloat16.h"
#include "model/native/product_split.h"

namespace coppice::native {
namespace {

enum Half : std::size_t { kHigh, kLow };

std::uint16_t at(const std::byte* bytes, std::size_t i) {
  std::uint16_t value;
  std::memcpy(&value, bytes + i * sizeof value, sizeof value);
  return value;
}

void put(std::byte* bytes, std::size_t i, std::uint16_t value) {
  std::memcpy(bytes + i * sizeof value, &value, sizeof value);
}

// Where a half of element i of a row is, and of element (k, column) of a panel: in bfloat16.
std::size_t row_index(std::size_t i, Half half) {
  return i / kSplitStep * 2 * kSplitStep + half * kSplitStep + i % kSplitStep;
}
std::size_t panel_index(std::size_t k, std::size_t column, Half half) {
  const std::size_t step = (k / kSplitStep * 2 + half) * kSplitStep * kPanelColumns;
  return step + k % kSplitStep / 2 * kPanelColumns * 2 + column * 2 + k % 2;
}

float row_value(const std::byte* rows, std::size_t i, Half half) {
  return widen_bfloat16(at(rows, row_index(i, half)));
}

void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments, float* c,
              std::size_t c_stride, bool add) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      float sum = add ? c[row * c_stride + column] : 0.0F;
      for (const Segment& s : segments) {
        const std::byte* a = s.rows + row * s.stride * sizeof(float);
        const auto panel = [&](std::size_t k, Half half) {
          return widen_bfloat16(at(s.panel, panel_index(k, column, half)));
        };
        for (std::size_t k = 0; k < s.depth; ++k) {
          const float high = row_value(a, k, kHigh);
          sum += high * panel(k, kHigh);
          sum += row_value(a, k, kLow) * panel(k, kHigh);
          sum += high * panel(k, kLow);
        }
      }
      c[row * c_stride + column] = sum;
    }
  }
}

void from_float(const float* source, std::size_t n, std::byte* elements) {
  for (std::size_t i = 0; i < split_steps(n) * kSplitStep; ++i) {
    const float value = i < n ? source[i] : 0.0F;
    const std::uint16_t high = to_bfloat16(value);
    put(elements, row_index(i, kHigh), high);
    put(elements, row_index(i, kLow), to_bfloat16(value - widen_bfloat16(high)));
  }
}

void to_float(const std::byte* elements, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = row_value(elements, i, kHigh) + row_value(elements, i, kLow);
  }
}

template <bool kTransposed>
void pack(const std::byte* source, std::size_t stride, std::size_t columns, std::size_t depth,
          std::byte* panel) {
  for (std::size_t k = 0; k < split_steps(depth) * kSplitStep; ++k) {
    for (std::size_t column = 0; column < kPanelColumns; ++column) {
      const bool inside = column < columns && k < depth;
      const std::byte* row = source + (kTransposed ? column : k) * stride * sizeof(float);
      for (const Half half : {kHigh, kLow}) {
        put(panel, panel_index(k, column, half),
            inside ? at(row, row_index(kTransposed ? k : column, half)) : std::uint16_t{0});
      }
    }
  }
}

void pack_rows(const std::byte* source, std::size_t stride, std::size_t depth, std::size_t columns,
               std::byte* panel) {
  pack<false>(source, stride, columns, depth, panel);
}

} // namespace

namespace levels {
const ProductKernels kScalarSplit{.precision = Precision::kSplit,
                                  .element_bytes = sizeof(float),
                                  .depth_step = kSplitStep,
                                  .whole_step = kSplitStep,
                                  .multiply = multiply,
                                  .from_float = from_float,
                                  .to_float = to_float,
                                  .pack_transposed = pack<true>,
                                  .pack_rows = pack_rows,
                                  .transpose = nullptr};
} // namespace levels

} // namespace coppice::native
