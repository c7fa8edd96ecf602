// SPDX-License-Identifier: Apache-2.0
// What moves the data of a collective call, and where it wants its tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "sim/rendezvous.h"

namespace coppice::cluster {

struct CollectiveBackend {
  c10::intrusive_ptr<c10d::Backend> group;
  at::Device device{at::kCPU};
};

// Connects all ranks. Throws what c10d throws.
CollectiveBackend make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                               const Rendezvous& rendezvous, const RanksOptions& options);

} // namespace coppice::cluster
