// SPDX-License-Identifier: Apache-2.0
#include "model/native/kept_panels.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "model/native/weight_matrix.h"

namespace coppice::native {
namespace {

// Float32 of a small base is slower to read from memory than a quarter of it to dequantize.
bool pays(const ProductKernels& kernels) { return kernels.precision != Precision::kFloat32; }

std::size_t bytes_of(const ProductKernels& kernels, std::size_t blocked, std::size_t depth) {
  const std::size_t blocks = (blocked + kPanelColumns - 1) / kPanelColumns;
  return pays(kernels) ? blocks * kernels.panel_bytes(depth) : 0;
}

std::shared_ptr<const KeptPanels> pack(const EngineKernels& kernels, const WeightMatrix& matrix) {
  const ProductKernels& there = kernels.precise;
  const ProductKernels& back = kernels.fast;
  const std::size_t rows = matrix.rows(), columns = matrix.columns();
  auto made = std::make_shared<KeptPanels>();
  Scratch scratch;
  if (pays(there)) {
    made->forward_kernels = &there;
    made->forward = Buffer(bytes_of(there, rows, columns));
    for (std::size_t row = 0; row < rows; row += kPanelColumns) {
      matrix.pack_for_forward(
          there, row, std::min(kPanelColumns, rows - row), 0, columns, scratch,
          made->forward.data() + row / kPanelColumns * there.panel_bytes(columns));
    }
  }
  if (pays(back)) {
    made->backward_kernels = &back;
    made->backward = Buffer(bytes_of(back, columns, rows));
    matrix.pack_for_backward(back, 0, rows, 0, columns, scratch, made->backward.data());
  }
  return made;
}

} // namespace

std::uint64_t kept_panels_bytes(const EngineKernels& kernels, const WeightMatrix& matrix) {
  return bytes_of(kernels.precise, matrix.rows(), matrix.columns()) +
         bytes_of(kernels.fast, matrix.columns(), matrix.rows());
}

std::shared_ptr<const KeptPanels> kept_panels(const EngineKernels& kernels,
                                              const WeightMatrix& matrix) {
  // Where a tensor lies is its name: the file stays mapped while an engine has it.
  using Key = std::tuple<const std::uint8_t*, const ProductKernels*, const ProductKernels*>;
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const KeptPanels>> all;
  const std::lock_guard lock(mutex); // also while packing: others wait for the same
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const KeptPanels>& known = all[Key(matrix.row(0), &kernels.precise, &kernels.fast)];
  std::shared_ptr<const KeptPanels> panels = known.lock();
  if (panels == nullptr) {
    panels = pack(kernels, matrix);
    known = panels;
  }
  return panels;
}

} // namespace coppice::native
