// SPDX-License-Identifier: Apache-2.0
#include "aggregator/column_sorter.h"

#include <algorithm>
#include <cstring>

#include "base/instruction_levels.h"

namespace coppice {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kColumns = ColumnSorter::kColumns;
using Integers = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

// Bits of floats as integers of the same order: those of negative numbers run the other way. Its
// own inverse.
COPPICE_LEVELS void swap_floats_and_keys(float* values, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes) {
    Integers bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bits ^= (bits >> 31) & 0x7FFFFFFF;
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

COPPICE_LEVELS void compare_rows(std::span<const std::array<std::uint32_t, 2>> comparators,
                                 float* values) {
  for (const auto& [first, second] : comparators) {
    float* low = values + first * kColumns;
    float* high = values + second * kColumns;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kColumns; i += kLanes) {
      Integers x, y;
      std::memcpy(&x, low + i, sizeof x);
      std::memcpy(&y, high + i, sizeof y);
      const Integers least = x < y ? x : y;
      const Integers most = x < y ? y : x;
      std::memcpy(low + i, &least, sizeof least);
      std::memcpy(high + i, &most, sizeof most);
    }
  }
}

} // namespace

ColumnSorter::ColumnSorter(std::size_t rows) : lines_(rows) {
  // Runs of `run` sorted rows are merged by comparators over a distance that halves; only rows of
  // one pair of runs are compared. Rows that would lie beyond the last are as good as infinite.
  const auto row = [](std::size_t place) { return static_cast<std::uint32_t>(place); };
  for (std::size_t run = 1; run < rows; run *= 2) {
    for (std::size_t distance = run; distance > 0; distance /= 2) {
      for (std::size_t first = distance % run; first + distance < rows; first += 2 * distance) {
        for (std::size_t i = first; i < first + distance && i + distance < rows; ++i) {
          if (i / (2 * run) == (i + distance) / (2 * run)) {
            comparators_.push_back({row(i), row(i + distance)});
          }
        }
      }
    }
  }
}

void ColumnSorter::sort(UpdateRows rows, std::size_t first) {
  const std::size_t columns = std::min(kColumns, rows.front().size() - first);
  for (std::size_t row = 0; row < lines_.size(); ++row) {
    std::memcpy(lines_[row].values.data(), rows[row].data() + first, columns * sizeof(float));
  }
  float* values = lines_.front().values.data();
  swap_floats_and_keys(values, lines_.size() * kColumns);
  compare_rows(comparators_, values);
  swap_floats_and_keys(values, lines_.size() * kColumns);
}

} // namespace coppice
