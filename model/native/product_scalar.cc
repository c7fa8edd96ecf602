// SPDX-License-Identifier: Apache-2.0
// The reference: plain loops, on every machine.
#include <bit>
#include <cstring>

#include "model/native/bfloat16.h"
#include "model/native/product_kernels.h"

namespace coppice::native {
namespace {

struct Float32 {
  static constexpr std::size_t kStep = 1;
  using Stored = float;
  static float widen(float x) { return x; }
  static float narrow(float x) { return x; }
};

struct Bfloat16 {
  static constexpr std::size_t kStep = 2;
  using Stored = std::uint16_t;
  static float widen(std::uint16_t x) { return widen_bfloat16(x); }
  static std::uint16_t narrow(float x) { return to_bfloat16(x); }
};

template <typename E>
typename E::Stored at(const std::byte* elements, std::size_t i) {
  typename E::Stored value;
  std::memcpy(&value, elements + i * sizeof value, sizeof value);
  return value;
}

template <typename E>
void put(std::byte* elements, std::size_t i, typename E::Stored value) {
  std::memcpy(elements + i * sizeof value, &value, sizeof value);
}

// Where (k, column) lies in a panel, in elements.
template <typename E>
std::size_t panel_index(std::size_t k, std::size_t column) {
  return k / E::kStep * kPanelColumns * E::kStep + column * E::kStep + k % E::kStep;
}

template <typename E>
std::size_t padded(std::size_t depth) {
  return (depth + E::kStep - 1) / E::kStep * E::kStep;
}

template <typename E>
void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments, float* c,
              std::size_t c_stride, bool add) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      float sum = add ? c[row * c_stride + column] : 0.0F;
      for (const Segment& s : segments) {
        for (std::size_t k = 0; k < s.depth; ++k) {
          sum += E::widen(at<E>(s.rows, row * s.stride + k)) *
                 E::widen(at<E>(s.panel, panel_index<E>(k, column)));
        }
      }
      c[row * c_stride + column] = sum;
    }
  }
}

template <typename E>
void from_float(const float* source, std::size_t n, std::byte* elements) {
  for (std::size_t i = 0; i < n; ++i) put<E>(elements, i, E::narrow(source[i]));
}

template <typename E>
void to_float(const std::byte* elements, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = E::widen(at<E>(elements, i));
}

template <typename E>
void pack_transposed(const std::byte* source, std::size_t stride, std::size_t columns,
                     std::size_t depth, std::byte* panel) {
  for (std::size_t k = 0; k < padded<E>(depth); ++k) {
    for (std::size_t column = 0; column < kPanelColumns; ++column) {
      const bool inside = column < columns && k < depth;
      put<E>(panel, panel_index<E>(k, column),
             inside ? at<E>(source, column * stride + k) : typename E::Stored{});
    }
  }
}

template <typename E>
void pack_rows(const std::byte* source, std::size_t stride, std::size_t depth, std::size_t columns,
               std::byte* panel) {
  for (std::size_t k = 0; k < padded<E>(depth); ++k) {
    for (std::size_t column = 0; column < kPanelColumns; ++column) {
      const bool inside = column < columns && k < depth;
      put<E>(panel, panel_index<E>(k, column),
             inside ? at<E>(source, k * stride + column) : typename E::Stored{});
    }
  }
}

template <typename E>
void transpose(const float* source, std::size_t stride, std::size_t rows, std::size_t columns,
               std::byte* out, std::size_t out_stride) {
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t row = 0; row < rows; ++row) {
      put<E>(out, column * out_stride + row, E::narrow(source[row * stride + column]));
    }
  }
}

template <typename E>
constexpr ProductKernels kernels(Precision precision) {
  return {.precision = precision,
          .element_bytes = sizeof(typename E::Stored),
          .depth_step = E::kStep,
          .whole_step = E::kStep,
          .multiply = multiply<E>,
          .from_float = from_float<E>,
          .to_float = to_float<E>,
          .pack_transposed = pack_transposed<E>,
          .pack_rows = pack_rows<E>,
          .transpose = transpose<E>};
}

} // namespace

namespace levels {
const ProductKernels kScalarFloat32 = kernels<Float32>(Precision::kFloat32);
const ProductKernels kScalarBfloat16 = kernels<Bfloat16>(Precision::kBfloat16);
} // namespace levels

} // namespace coppice::native
