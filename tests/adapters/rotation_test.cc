// SPDX-License-Identifier: Apache-2.0
#include "adapters/rotation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using Matrix = std::vector<std::vector<double>>;

double norm_of(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

std::vector<double> signs(std::size_t count, std::uint64_t seed, std::uint64_t stretch) {
  KeyedRandom random({.experiment = seed, .purpose = RandomPurpose::kRotation, .step = stretch});
  std::vector<std::uint32_t> words((count + 31) / 32);
  for (auto& word : words) word = random.next_u32();
  std::vector<double> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i] = (words[i / 32] >> (i % 32) & 1U) != 0 ? -1.0 : 1.0;
  }
  return result;
}

// One stretch as a dense matrix: entry (i, j) of Walsh's and Hadamard's is (-1)^popcount(i & j).
Matrix stretch_matrix(std::size_t d, std::size_t first, std::size_t width,
                      const std::vector<double>& sign) {
  Matrix matrix(d, std::vector<double>(d, 0.0));
  for (std::size_t i = 0; i < d; ++i) matrix[i][i] = 1.0;
  for (std::size_t i = 0; i < width; ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      const double walsh = std::popcount(i & j) % 2 == 0 ? 1.0 : -1.0;
      matrix[first + i][first + j] = walsh * sign[j] / std::sqrt(static_cast<double>(width));
    }
  }
  return matrix;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix result(a.size(), std::vector<double>(a.size(), 0.0));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < a.size(); ++k) {
      for (std::size_t j = 0; j < a.size(); ++j) result[i][j] += a[i][k] * b[k][j];
    }
  }
  return result;
}

Matrix rotation_matrix(std::size_t d, std::uint64_t seed) {
  const std::size_t width = std::bit_floor(d);
  return product(stretch_matrix(d, d - width, width, signs(width, seed, 2)),
                 stretch_matrix(d, 0, width, signs(width, seed, 1)));
}

// The transform level by level, as in any textbook; the fast one must pair the same values.
void plain_transform(std::span<float> values) {
  for (std::size_t step = 1; step < values.size(); step *= 2) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if ((i & step) != 0) continue;
      const float sum = values[i] + values[i + step];
      values[i + step] = values[i] - values[i + step];
      values[i] = sum;
    }
  }
}

void plain_rotate(std::span<float> values, std::uint64_t seed) {
  const std::size_t width = std::bit_floor(values.size());
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
  for (const std::uint64_t stretch : {1U, 2U}) {
    const auto part = stretch == 1 ? values.first(width) : values.last(width);
    const auto sign = signs(width, seed, stretch);
    for (std::size_t i = 0; i < width; ++i) part[i] *= static_cast<float>(sign[i]) * scale;
    plain_transform(part);
  }
}

TEST(RotationTest, EveryBasisVectorBecomesTheColumnOfTheDenseMatrixAndComesBack) {
  std::vector<std::size_t> sizes = {127, 128, 129, 200};
  for (std::size_t d = 1; d <= 67; ++d) sizes.push_back(d);
  for (const std::size_t d : sizes) {
    for (const std::uint64_t seed : {0U, 1U, 77U}) {
      const Matrix matrix = rotation_matrix(d, seed);
      for (std::size_t j = 0; j < d; ++j) {
        std::vector<float> column(d, 0.0F);
        column[j] = 1.0F;
        rotate(column, seed);
        std::vector<double> row(d, 0.0);
        row[j] = 1.0;
        unrotate(row, seed);
        for (std::size_t i = 0; i < d; ++i) {
          ASSERT_NEAR(column[i], matrix[i][j], rotation_error(d)) << d << ": " << i << ", " << j;
          // The inverse is the transpose. Double's u is 2^-29 of float's; the matrix here has its
          // own error of a few hundred roundings of numbers below 1.
          ASSERT_NEAR(row[i], matrix[j][i], 1e-13) << d << ": " << i << ", " << j;
        }
      }
    }
  }
}

TEST(RotationTest, NothingIsDoneToNoValues) {
  rotate({}, 1);
  unrotate({}, 1);
}

TEST(RotationTest, TheNormIsKeptAndTheInverseRecoversWithinTheStatedError) {
  for (const std::size_t d : {1U, 2U, 3U, 5U, 7U, 1000U, 4096U, 4097U, 8191U, 155'648U, 300'001U}) {
    const auto before = random_values(d, d);
    auto rotated = before;
    rotate(rotated, 5);
    const double norm = norm_of(before);
    const double error = rotation_error(d) * norm;
    EXPECT_NEAR(norm_of(rotated), norm, error) << d;
    std::vector<double> back(rotated.begin(), rotated.end());
    unrotate(back, 5);
    double off = 0; // the inverse keeps the norm of the error; its own is 2^-29 of it
    for (std::size_t i = 0; i < d; ++i) {
      const double difference = back[i] - static_cast<double>(before[i]);
      off += difference * difference;
    }
    EXPECT_LE(std::sqrt(off), error * 1.001) << d;
    if (d > 2) {
      EXPECT_NE(rotated, before) << d;
    }
  }
}

TEST(RotationTest, TheBitsAreThoseOfThePlainTransformAndTheSameEveryTime) {
  for (const std::size_t d :
       {1U, 3U, 15U, 16U, 31U, 64U, 4095U, 4096U, 8192U, 16'384U, 70'000U, 155'648U, 524'288U}) {
    const auto before = random_values(d, 3);
    auto plain = before;
    plain_rotate(plain, 9);
    for (int repeat = 0; repeat < 2; ++repeat) {
      auto fast = before;
      rotate(fast, 9);
      ASSERT_EQ(fast, plain) << d;
    }
  }
}

TEST(RotationTest, AnotherSeedRotatesElsewhere) {
  auto first = random_values(1000, 1);
  auto second = first;
  rotate(first, 1);
  rotate(second, 2);
  EXPECT_NE(first, second);
}

// Unit vectors that a weaker rotation leaves in a heap: one coordinate in each part of the
// construction, all alike, rows of the Hadamard matrix, a heap that each half alone would make.
std::vector<std::pair<std::string, std::vector<float>>> hard_vectors(std::size_t d) {
  const std::size_t width = std::bit_floor(d);
  std::vector<std::pair<std::string, std::vector<float>>> vectors;
  for (const std::size_t at : {std::size_t{0}, (d - width) / 2, d - width, width - 1, d - 1}) {
    vectors.emplace_back("one at " + std::to_string(at), std::vector<float>(d, 0.0F));
    vectors.back().second[at] = 1.0F;
  }
  const auto filled = [&](const std::string& name, std::size_t first, std::size_t count,
                          std::size_t row) {
    std::vector<float> values(d, 0.0F);
    for (std::size_t i = 0; i < count; ++i) {
      const double sign = std::popcount(i & row) % 2 == 0 ? 1.0 : -1.0;
      values[first + i] = static_cast<float>(sign / std::sqrt(static_cast<double>(count)));
    }
    vectors.emplace_back(name, std::move(values));
  };
  filled("constant", 0, d, 0);
  for (const std::size_t row : {std::size_t{1}, width / 2, width - 1}) {
    filled("first stretch, row " + std::to_string(row), 0, width, row);
    filled("last stretch, row " + std::to_string(row), d - width, width, row);
  }
  filled("outside the first stretch", d == width ? 0 : width, d == width ? d : d - width, 0);
  return vectors;
}

TEST(RotationTest, NoVectorLeavesACoordinateAboveTheBoundOfTheNote) {
  // Over all trials of one d the chance of a failure is at most 2^-20 by the note's inequality.
  constexpr std::uint64_t kSeeds = 300;
  for (const std::size_t d : {2U, 3U, 5U, 7U, 64U, 96U, 127U, 1000U, 1024U, 4500U}) {
    const auto vectors = hard_vectors(d);
    const auto width = static_cast<double>(rotation_width(d));
    const double trials = static_cast<double>(kSeeds * vectors.size() * d);
    const double bound = std::sqrt(2 * std::log(2 * trials * 0x1p20) / width) + rotation_error(d);
    for (const auto& [name, values] : vectors) {
      for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
        auto rotated = values;
        rotate(rotated, seed);
        for (const float value : rotated) {
          ASSERT_LE(std::abs(value), bound) << d << ", " << name << ", seed " << seed;
        }
      }
    }
  }
}

TEST(RotationTest, TheMomentGeneratingFunctionOfEveryCoordinateIsWithinTheNotes) {
  // The mean of cosh(t y), t = 1 / sqrt(v), over seeds; the note says E <= exp(1/2). Its standard
  // error is at most sqrt(E cosh(t y)^2 / seeds), and E cosh(t y)^2 = (1 + E cosh(2 t y)) / 2 <=
  // (1 + e^2) / 2 < 4.2 by the note again: 0.046 for 2000 seeds. Allowed are four of them.
  constexpr std::uint64_t kSeeds = 2000;
  for (const std::size_t d : {3U, 7U, 24U, 32U}) {
    const double t = std::sqrt(static_cast<double>(rotation_width(d))); // 1 / sqrt(v)
    for (const auto& [name, values] : hard_vectors(d)) {
      std::vector<double> mean(d, 0.0);
      for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
        auto rotated = values;
        rotate(rotated, seed);
        for (std::size_t i = 0; i < d; ++i) {
          mean[i] += std::cosh(t * static_cast<double>(rotated[i])) / static_cast<double>(kSeeds);
        }
      }
      for (std::size_t i = 0; i < d; ++i) {
        ASSERT_LE(mean[i], std::exp(0.5) + 4 * 0.046) << d << ", " << name << ", coordinate " << i;
      }
    }
  }
}

TEST(RotationTest, TheNotesVarianceCanNotBeSmaller) {
  // One coordinate outside the first stretch: each of the last D holds exactly |x| / sqrt(D).
  std::vector<float> values(24, 0.0F);
  values[20] = 1.0F;
  rotate(values, 4);
  for (std::size_t i = 8; i < 24; ++i) EXPECT_EQ(std::abs(values[i]), 0.25F);
  EXPECT_EQ(values[7], 0.0F);
}

} // namespace
} // namespace coppice
