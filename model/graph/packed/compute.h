// SPDX-License-Identifier: Apache-2.0
// Where the packed engine computes, and in what type.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "base/result.h"

namespace coppice::graph::packed {

struct Compute {
  at::Device device{at::kCPU};
  // Of weights, activations and products; adapters, their moments and losses are float32 always.
  at::ScalarType type = at::kBFloat16;
  // What results depend on beside the pack: "NVIDIA H200 bfloat16", "avx512 float32".
  std::string level{};

  at::TensorOptions low() const { return at::TensorOptions(device).dtype(type); }
  at::TensorOptions full() const { return at::TensorOptions(device).dtype(at::kFloat); }
  at::TensorOptions index() const { return at::TensorOptions(device).dtype(at::kLong); }
};

// "cpu" or "cuda:N"; `exact` computes in float32. Loads LibTorch's CUDA half on first use, and asks
// LibTorch for algorithms that repeat. kInvalidArgument for another name; kUnavailable, with the
// reason, where there is no such GPU.
Result<Compute> choose_compute(const std::string& device, bool exact);

// A copy on the device.
at::Tensor to_device(std::span<const std::int64_t> values, const Compute& compute);
at::Tensor to_device(std::span<const float> values, const Compute& compute);

} // namespace coppice::graph::packed
