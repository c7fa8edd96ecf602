// SPDX-License-Identifier: Apache-2.0
// The gated feed-forward block's activation, whichever the architecture has.
#pragma once

#include "model/base_model.h"
#include "model/row_kernels.h"

namespace coppice::native {

// y = act(gate) * up
inline void gated(Activation activation, const float* gate, const float* up, std::size_t n,
                  float* y) {
  switch (activation) {
    case Activation::kSilu: return swiglu(gate, up, n, y);
    case Activation::kGeluTanh: return geglu(gate, up, n, y);
    case Activation::kSquaredRelu: return squared_reglu(gate, up, n, y);
  }
}

// And y again, unless it is null.
inline void gated_backward(Activation activation, const float* gate, const float* up,
                           const float* dy, std::size_t n, float* d_gate, float* d_up, float* y) {
  switch (activation) {
    case Activation::kSilu: return swiglu_backward(gate, up, dy, n, d_gate, d_up, y);
    case Activation::kGeluTanh: return geglu_backward(gate, up, dy, n, d_gate, d_up, y);
    case Activation::kSquaredRelu: return squared_reglu_backward(gate, up, dy, n, d_gate, d_up, y);
  }
}

} // namespace coppice::native
