// SPDX-License-Identifier: Apache-2.0
// Ties a forward pass that we computed ourselves to its backward pass, written next to it.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace coppice::graph {

// From the gradient of the output to those of the inputs, in their order; an undefined tensor
// stands for zero. Called at most once, and freed with all that it holds as soon as it has run.
using Backward = std::function<std::vector<at::Tensor>(const at::Tensor& output_gradient)>;

// True if a gradient is wanted for any of the tensors, and recording is on.
bool needs_gradient(const std::vector<at::Tensor>& inputs);

// `output` as a function of `inputs` (at most three, undefined ones are left out), for LibTorch's
// autograd: a custom function whose saved values are what `backward` captured. Call only if
// needs_gradient(inputs). `backward` must not capture `output`.
at::Tensor record(at::Tensor output, const std::vector<at::Tensor>& inputs, Backward backward);

} // namespace coppice::graph
