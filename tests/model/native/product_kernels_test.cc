// SPDX-License-Identifier: Apache-2.0
// Every instruction level of this machine against float64, and packing against its definition.
#include "model/native/product_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "model/native/buffer.h"

namespace coppice::native {
namespace {

struct Case {
  const char* name;
  const ProductKernels* kernels;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const CpuLevel level : supported_cpu_levels()) {
    const char* name = cpu_level_name(level).data();
    all.push_back({name, &product_kernels(level, Precision::kFloat32)});
    all.push_back({name, &product_kernels(level, Precision::kBfloat16)});
    all.push_back({name, &product_kernels(level, Precision::kSplit)});
  }
#if defined(__x86_64__)
  // Where they aren't chosen too.
  if (has_bfloat16_products()) all.push_back({"avx512-bf16", &levels::kAvx512Bfloat16});
#endif
  return all;
}

// Random floats, as elements in rows of a stride, and what the elements are worth.
struct Matrix {
  Matrix(const ProductKernels& kernels, std::size_t rows, std::size_t columns, std::uint64_t seed)
      : stride(kernels.padded(columns) + 2 * kernels.depth_step),
        elements((rows + 1) * stride * kernels.element_bytes),
        values(rows * columns) {
    KeyedRandom random({.experiment = seed, .purpose = RandomPurpose::kTest});
    std::vector<float> row(stride);
    for (std::size_t i = 0; i < rows; ++i) {
      for (float& value : row) value = 2 * random.uniform_float() - 1;
      std::byte* to = elements.data() + i * stride * kernels.element_bytes;
      kernels.from_float(row.data(), stride, to);
      kernels.to_float(to, columns, values.data() + i * columns);
    }
  }
  std::size_t stride;
  Buffer elements;
  std::vector<float> values;
};

// A sum of n products of numbers up to 1, each rounded by 2^-24 of the sum so far; of split ones,
// three sums in turn, and low times low is left out: 2^-9 2^-9.
double tolerance(const ProductKernels& kernels, std::size_t depth) {
  const bool split = kernels.precision == Precision::kSplit;
  return static_cast<double>(depth + 2) * (split ? 0x1p-18 : 0x1p-22);
}

TEST(ProductKernels, AnyShapeIsTheProduct) {
  for (const Case& c : cases()) {
    const ProductKernels& k = *c.kernels;
    for (const std::size_t rows : {1U, 5U, 6U, 7U, 12U, 16U, 33U}) {
      for (const std::size_t columns : {1U, 8U, 9U, 15U, 16U, 17U, 40U, 63U, 64U}) {
        for (const std::size_t depth : {1U, 2U, 3U, 31U, 64U, 65U, 700U}) {
          const Matrix a(k, rows, depth, 1);
          const Matrix b(k, columns, depth, 2);
          const std::size_t more = depth == 64 ? 32 : 6; // all whole steps, and not
          const Matrix a2(k, rows, more, 3);
          const Matrix b2(k, more, columns, 4);
          Buffer panel(k.panel_bytes(depth));
          Buffer panel2(k.panel_bytes(more));
          std::memset(panel.data(), 0xFF, panel.size()); // no number, should anybody read it
          std::memset(panel2.data(), 0xFF, panel2.size());
          k.pack_transposed(b.elements.data(), b.stride, columns, depth, panel.data());
          k.pack_rows(b2.elements.data(), b2.stride, more, columns, panel2.data());
          const Segment segments[2] = {{a.elements.data(), a.stride, depth, panel.data()},
                                       {a2.elements.data(), a2.stride, more, panel2.data()}};
          std::vector<float> out(rows * 70, 0.25F);
          k.multiply(rows, columns, std::span<const Segment>(segments, 2), out.data(), 70, true);
          for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < 70; ++j) {
              double expected = 0.25;
              for (std::size_t d = 0; j < columns && d < depth; ++d) {
                expected += double{a.values[i * depth + d]} * double{b.values[j * depth + d]};
              }
              for (std::size_t d = 0; j < columns && d < more; ++d) {
                expected += double{a2.values[i * more + d]} * double{b2.values[d * columns + j]};
              }
              ASSERT_NEAR(out[i * 70 + j], expected, tolerance(k, depth + more))
                  << c.name << " " << rows << " x " << columns << " x " << depth;
            }
          }
        }
      }
    }
  }
}

// However many rows are computed together, a row's bits are the same.
TEST(ProductKernels, ARowIsTheSameAloneAndAmongOthers) {
  constexpr std::size_t kRows = 67;
  for (const Case& c : cases()) {
    const ProductKernels& k = *c.kernels;
    for (const std::size_t depth : {130U, 160U, 700U}) {
      const Matrix a(k, kRows, depth, 1);
      const Matrix b(k, 64, depth, 2);
      Buffer panel(k.panel_bytes(depth));
      k.pack_transposed(b.elements.data(), b.stride, 64, depth, panel.data());
      for (const bool add : {false, true}) {
        std::vector<float> together(kRows * 64, 0.25F);
        const Segment all{a.elements.data(), a.stride, depth, panel.data()};
        k.multiply(kRows, 64, {&all, 1}, together.data(), 64, add);
        for (std::size_t row = 0; row < kRows; ++row) {
          std::vector<float> alone(64, 0.25F);
          const Segment one{a.elements.data() + row * a.stride * k.element_bytes, a.stride, depth,
                            panel.data()};
          k.multiply(1, 64, {&one, 1}, alone.data(), 64, add);
          EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + 64 * row))
              << c.name << " " << depth << " " << row;
        }
      }
    }
  }
}

TEST(ProductKernels, TransposesAreTransposes) {
  for (const Case& c : cases()) {
    const ProductKernels& k = *c.kernels;
    if (k.transpose == nullptr) continue;
    for (const std::size_t rows : {1U, 16U, 19U, 48U}) {
      const std::size_t columns = 37;
      std::vector<float> source(rows * columns);
      for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i % 251);
      Buffer out(columns * 50 * k.element_bytes);
      k.transpose(source.data(), columns, rows, columns, out.data(), 50);
      std::vector<float> row(rows);
      for (std::size_t j = 0; j < columns; ++j) {
        k.to_float(out.data() + j * 50 * k.element_bytes, rows, row.data());
        for (std::size_t i = 0; i < rows; ++i) ASSERT_EQ(row[i], source[i * columns + j]) << c.name;
      }
    }
  }
}

TEST(ProductKernels, Bfloat16RoundsToNearestEvenAtEveryLevel) {
  const ProductKernels& reference = product_kernels(CpuLevel::kScalar, Precision::kBfloat16);
  std::vector<float> values;
  for (std::uint32_t bits = 0; bits < 0xFFFF0000U; bits += 0x3FFFU) {
    values.push_back(std::bit_cast<float>(bits));
  }
  std::vector<std::byte> expected(values.size() * 2), found(values.size() * 2);
  reference.from_float(values.data(), values.size(), expected.data());
  for (const Case& c : cases()) {
    if (c.kernels->precision != Precision::kBfloat16) continue;
    c.kernels->from_float(values.data(), values.size(), found.data());
    EXPECT_EQ(found, expected) << c.name;
  }
}

// Splitting keeps 16 bits of 24, and does it alike at every level.
TEST(ProductKernels, SplitElementsAreWithin2ToTheMinus17OfTheirFloats) {
  const ProductKernels& reference = product_kernels(CpuLevel::kScalar, Precision::kSplit);
  KeyedRandom random({.experiment = 9, .purpose = RandomPurpose::kTest});
  std::vector<float> values(75);
  for (float& value : values) value = std::exp(20 * random.uniform_float() - 10);
  const std::size_t bytes = reference.padded(values.size()) * reference.element_bytes;
  std::vector<std::byte> expected(bytes), found(bytes);
  reference.from_float(values.data(), values.size(), expected.data());
  std::vector<float> back(values.size());
  reference.to_float(expected.data(), values.size(), back.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(back[i], values[i], 0x1p-17F * values[i]);
  }
  for (const Case& c : cases()) {
    if (c.kernels->precision != Precision::kSplit) continue;
    c.kernels->from_float(values.data(), values.size(), found.data());
    EXPECT_EQ(found, expected) << c.name;
  }
}

} // namespace
} // namespace coppice::native
