// SPDX-License-Identifier: Apache-2.0
// Sorts each parameter's values over the clients, many parameters at a time.
//
// A sorting network (Batcher, "Sorting networks and their applications", AFIPS 1968: odd-even merge
// sort) compares rows whole: one comparator is a minimum and a maximum of vectors, without a
// branch. For 100 clients it has 1104 comparators. Values are ordered by their bits (-0 before +0),
// so that the result has the same bits however the rows came.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "aggregator/update_rows.h"

namespace coppice {

// One thread's. Holds 256 bytes a row.
class ColumnSorter {
 public:
  static constexpr std::size_t kColumns = 64;
  explicit ColumnSorter(std::size_t rows); // at least 1

  // Sorts columns [first, first + kColumns) of `rows`, as many as there are; finite values alone.
  void sort(UpdateRows rows, std::size_t first);
  // The values of rank 0 (the least of each column) to rows - 1; valid until the next sort.
  std::span<const float, kColumns> rank(std::size_t rank) const { return lines_[rank].values; }

 private:
  struct alignas(64) Line {
    std::array<float, kColumns> values;
  };
  std::vector<std::array<std::uint32_t, 2>> comparators_; // of rows: the lesser comes first
  std::vector<Line> lines_;                               // a row each
};

} // namespace coppice
