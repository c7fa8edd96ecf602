// SPDX-License-Identifier: Apache-2.0
#include "model/graph/product.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>

#include "base/check.h"

namespace coppice::graph {
namespace {

at::Tensor wrap(const MatrixView& view) {
  return at::from_blob(view.data, {view.rows, view.columns}, {view.stride, 1}, at::kFloat);
}

void multiply_add(const MatrixView& out, const at::Tensor& a, const at::Tensor& b, Into into,
                  float scale) {
  at::Tensor result = wrap(out);
  at::addmm_out(result, result, a, b, into == Into::kAdd ? 1 : 0, scale);
}

} // namespace

MatrixView MatrixView::of(const at::Tensor& tensor) {
  COPPICE_CHECK(tensor.dim() == 2 && tensor.stride(1) == 1 && tensor.scalar_type() == at::kFloat);
  return {tensor.data_ptr<float>(), tensor.size(0), tensor.size(1), tensor.stride(0)};
}

void multiply(const MatrixView& a, const MatrixView& b, const MatrixView& out, Into into,
              float scale) {
  const at::AutoDispatchBelowADInplaceOrView without_autograd;
  multiply_add(out, wrap(a), wrap(b), into, scale);
}

void multiply_transposed(const MatrixView& a, const MatrixView& b, const MatrixView& out, Into into,
                         float scale) {
  const at::AutoDispatchBelowADInplaceOrView without_autograd;
  multiply_add(out, wrap(a), wrap(b).t(), into, scale);
}

void transposed_multiply(const MatrixView& a, const MatrixView& b, const MatrixView& out, Into into,
                         float scale) {
  const at::AutoDispatchBelowADInplaceOrView without_autograd;
  multiply_add(out, wrap(a).t(), wrap(b), into, scale);
}

} // namespace coppice::graph
