// SPDX-License-Identifier: Apache-2.0
// Work on the rows of a matrix, some at a time, by all threads.
#pragma once

#include <algorithm>

#include "model/native/worker_pool.h"

namespace coppice::native {

// task(row, scratch) for each row.
template <typename Task>
void for_rows(WorkerPool& pool, std::size_t rows, const Task& task) {
  constexpr std::size_t kRows = 16;
  pool.run((rows + kRows - 1) / kRows, [&](std::size_t block, Scratch& scratch) {
    const std::size_t end = std::min(rows, (block + 1) * kRows);
    for (std::size_t row = block * kRows; row < end; ++row) task(row, scratch);
  });
}

} // namespace coppice::native
