// SPDX-License-Identifier: Apache-2.0
#include "adapters/rope_rows.h"

#include <algorithm>

#include "base/check.h"

namespace coppice {
namespace {

// Calls visit(half-split row, interleaved row) for every row.
template <typename Visit>
void for_each_row(const RopeRows& shape, Visit visit) {
  const std::size_t width = shape.rows / shape.heads;
  for (std::size_t head = 0; head < shape.heads; ++head) {
    for (std::size_t half = 0; half < 2; ++half) {
      for (std::size_t i = 0; i < width / 2; ++i) {
        visit(head * width + half * (width / 2) + i, head * width + 2 * i + half);
      }
    }
  }
}

void check_shape(const RopeRows& shape, std::size_t from, std::size_t to) {
  COPPICE_CHECK(shape.heads > 0 && shape.rows % (2 * shape.heads) == 0);
  COPPICE_CHECK(from == shape.rows * shape.columns && to == from);
}

void copy_row(std::span<const float> from, std::size_t from_row, std::span<float> to,
              std::size_t to_row, std::size_t columns) {
  std::ranges::copy(from.subspan(from_row * columns, columns),
                    to.subspan(to_row * columns, columns).begin());
}

} // namespace

void half_split_to_interleaved(const RopeRows& shape, std::span<const float> from,
                               std::span<float> to) {
  check_shape(shape, from.size(), to.size());
  for_each_row(shape, [&](std::size_t half_split, std::size_t interleaved) {
    copy_row(from, half_split, to, interleaved, shape.columns);
  });
}

void interleaved_to_half_split(const RopeRows& shape, std::span<const float> from,
                               std::span<float> to) {
  check_shape(shape, from.size(), to.size());
  for_each_row(shape, [&](std::size_t half_split, std::size_t interleaved) {
    copy_row(from, interleaved, to, half_split, shape.columns);
  });
}

} // namespace coppice
