// SPDX-License-Identifier: Apache-2.0
// AdamW or SGD on all clients of a pack at once: the counterpart of model/adapter_optimizer.h, over
// (K, P) tensors. Each client has its own settings, but for the kind, its own steps and its own
// rate.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "model/engine.h"
#include "model/graph/packed/compute.h"

namespace coppice::graph::packed {

class PackOptimizer {
 public:
  // `values` (K, P) float32 are the pack's adapters, in the order of Adapter::values(); step()
  // changes them in place.
  PackOptimizer(const AdapterSpec& spec, std::span<const TrainJob> jobs, at::Tensor values,
                const Compute& compute);

  // A client's rate of this step, as a factor of its setting. Only these clients have a step, in
  // ascending order.
  struct Turn {
    std::size_t client = 0;
    float rate_factor = 1.0F;
  };
  // Adds offset and proximal pull to the gradient (turns, P) float32, clears what isn't trained,
  // clips. Returns each client's L2 norm before clipping. With cores the gradient begins with
  // theirs, and the rest is cleared.
  std::vector<double> prepare(std::span<const Turn> turns, at::Tensor& gradient) const;
  void step(std::span<const Turn> turns, const at::Tensor& gradient);

  // A client's values and moments, (P) each on the CPU, and its steps.
  struct ClientState {
    at::Tensor values, first, second;
    std::uint64_t steps = 0;
  };
  ClientState state(std::size_t client) const;
  void restore(std::size_t client, const TrainState& state); // which was checked

 private:
  // Of the clients that have a turn, in place.
  void adamw(std::span<const Turn> turns, const at::Tensor& gradient, at::Tensor& values,
             at::Tensor& first, at::Tensor& second);
  void sgd(std::span<const Turn> turns, const at::Tensor& gradient, at::Tensor& values,
           at::Tensor& first) const;
  bool all_have(std::span<const Turn> turns) const { return turns.size() == settings_.size(); }
  at::Tensor clients_of(std::span<const Turn> turns) const; // their numbers
  // The rows of a (K, P) tensor: itself if all clients have a turn.
  at::Tensor rows(const at::Tensor& of, std::span<const Turn> turns) const;
  at::Tensor trained(std::span<const Turn> turns) const;
  // Of (turns, P) the cores of every B (turns, count), and back: adds to the Bs of `values`.
  at::Tensor cores_of(const at::Tensor& all) const;
  void add_cores(const at::Tensor& cores, at::Tensor& values) const;
  void update(std::span<const Turn> turns, const at::Tensor& gradient, at::Tensor& values,
              at::Tensor& first, at::Tensor& second);
  at::Tensor column(std::span<const float> values) const;

  std::vector<OptimizerSettings> settings_;
  std::vector<std::uint64_t> steps_;
  Compute compute_;
  at::Tensor values_; // (K, P)
  at::Tensor start_;  // with a proximal pull of any client
  at::Tensor first_;  // moments
  at::Tensor second_;
  at::Tensor offset_; // (K, P), where any client has one
  // (1, P) each, defined if any client freezes something: whether a value belongs to an A, and the
  // row of A or column of B.
  at::Tensor is_a_, rank_of_;
  struct CoreTarget {    // model/adapter_optimizer.h, over a pack
    std::int64_t offset; // of B
    std::int64_t out;
    std::int64_t rank;
    at::Tensor basis; // (out, rank)
  };
  std::vector<CoreTarget> cores_; // empty: whole factors
};

} // namespace coppice::graph::packed
