// SPDX-License-Identifier: Apache-2.0
// Weights packed once, for all engines of the process over one base: a simulation takes thousands
// of steps with a small base, and packing it costs a sixth of each where AMX multiplies. Elsewhere
// a pass packs what it multiplies when it does, which takes no memory.
#pragma once

#include <memory>

#include "model/native/buffer.h"
#include "model/native/product_kernels.h"

namespace coppice::native {

class WeightMatrix;

// Of one matrix; the same bytes as WeightMatrix packs. Immutable, so thread-safe.
struct KeptPanels {
  const ProductKernels* forward_kernels = nullptr; // null: that way is not kept
  const ProductKernels* backward_kernels = nullptr;
  Buffer forward;  // of 64 rows each, over all columns, one after the other
  Buffer backward; // of 64 columns each, over all rows

  // Those of the rows, or columns, from a multiple of 64 on.
  const std::byte* forward_of(std::size_t row, std::size_t columns) const {
    return forward.data() + row / kPanelColumns * forward_kernels->panel_bytes(columns);
  }
  const std::byte* backward_of(std::size_t column, std::size_t rows) const {
    return backward.data() + column / kPanelColumns * backward_kernels->panel_bytes(rows);
  }
};

std::uint64_t kept_panels_bytes(const EngineKernels& kernels, const WeightMatrix& matrix);

// Packs a matrix, unless another engine of the process has; the last to let go frees them. The
// matrix is a whole tensor. Thread-safe.
std::shared_ptr<const KeptPanels> kept_panels(const EngineKernels& kernels,
                                              const WeightMatrix& matrix);

} // namespace coppice::native
