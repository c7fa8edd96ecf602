// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/pack_optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace coppice::graph::packed {
namespace {

template <typename Wanted>
bool any(const std::vector<OptimizerSettings>& settings, const Wanted& wanted) {
  return std::ranges::any_of(settings, wanted);
}

at::Tensor mask_of_a(const AdapterSpec& spec, std::int64_t parameters) {
  const at::Tensor mask = at::zeros({1, parameters}, at::kBool);
  std::int64_t offset = 0;
  for (const AdapterTarget& target : spec.targets) {
    const auto count = static_cast<std::int64_t>(target.a_elements());
    mask.narrow(1, offset, count).fill_(true);
    offset += count + static_cast<std::int64_t>(target.b_elements());
  }
  return mask;
}

std::vector<float> rank_of_each(const AdapterSpec& spec) {
  std::vector<float> ranks;
  for (const AdapterTarget& target : spec.targets) {
    for (std::size_t i = 0; i < target.a_elements(); ++i) {
      ranks.push_back(static_cast<float>(i / target.in));
    }
    for (std::size_t i = 0; i < target.b_elements(); ++i) {
      ranks.push_back(static_cast<float>(i % target.rank));
    }
  }
  return ranks;
}

bool freezes(const OptimizerSettings& of) {
  return !of.train_a || !of.train_b || of.trained_rank > 0;
}

} // namespace

PackOptimizer::PackOptimizer(const AdapterSpec& spec, std::span<const TrainJob> jobs,
                             at::Tensor values, const Compute& compute)
    : steps_(jobs.size()),
      compute_(compute),
      values_(std::move(values)),
      first_(at::zeros_like(values_)),
      second_(at::zeros_like(values_)) {
  for (const TrainJob& job : jobs) settings_.push_back(job.optimizer);
  if (any(settings_, [](const auto& of) { return of.proximal_mu > 0; })) start_ = values_.clone();
  if (jobs.front().core != nullptr) {
    std::int64_t at = 0;
    for (std::size_t t = 0; t < spec.targets.size(); ++t) {
      const AdapterTarget& target = spec.targets[t];
      const auto basis = jobs.front().core->target(t);
      const std::vector<float> narrow(basis.begin(), basis.end());
      const auto out = static_cast<std::int64_t>(target.out);
      const auto rank = static_cast<std::int64_t>(target.rank);
      at += static_cast<std::int64_t>(target.a_elements());
      cores_.push_back({at, out, rank, to_device(narrow, compute_).view({out, rank})});
      at += out * rank;
    }
  } else if (any(settings_, freezes)) {
    is_a_ = mask_of_a(spec, values_.size(1)).to(compute_.device);
    rank_of_ = to_device(rank_of_each(spec), compute_).unsqueeze(0);
  }
  for (std::size_t client = 0; client < jobs.size(); ++client) {
    if (!jobs[client].gradient_offset) continue;
    if (!offset_.defined()) offset_ = at::zeros_like(values_);
    offset_[static_cast<std::int64_t>(client)].copy_(
        to_device(*jobs[client].gradient_offset, compute_));
  }
}

at::Tensor PackOptimizer::clients_of(std::span<const Turn> turns) const {
  std::vector<std::int64_t> clients;
  for (const Turn& turn : turns) clients.push_back(static_cast<std::int64_t>(turn.client));
  return to_device(clients, compute_);
}

at::Tensor PackOptimizer::rows(const at::Tensor& of, std::span<const Turn> turns) const {
  return all_have(turns) ? of : at::index_select(of, 0, clients_of(turns));
}

at::Tensor PackOptimizer::column(std::span<const float> values) const {
  return to_device(values, compute_).unsqueeze(1);
}

// (turns, P), true where a value moves.
at::Tensor PackOptimizer::trained(std::span<const Turn> turns) const {
  // How many of the ranks of A and of B.
  std::vector<float> a, b;
  for (const Turn& turn : turns) {
    const OptimizerSettings& of = settings_[turn.client];
    const float ranks = of.trained_rank > 0 ? static_cast<float>(of.trained_rank)
                                            : std::numeric_limits<float>::infinity();
    a.push_back(of.train_a ? ranks : 0.0F);
    b.push_back(of.train_b ? ranks : 0.0F);
  }
  return rank_of_.lt(at::where(is_a_, column(a), column(b)));
}

at::Tensor PackOptimizer::cores_of(const at::Tensor& all) const {
  std::vector<at::Tensor> cores;
  const std::int64_t clients = all.size(0);
  for (const CoreTarget& of : cores_) {
    const at::Tensor b =
        all.narrow(1, of.offset, of.out * of.rank).view({clients, of.out, of.rank});
    cores.push_back(at::matmul(of.basis.t(), b).reshape({clients, of.rank * of.rank}));
  }
  return at::cat(cores, 1);
}

void PackOptimizer::add_cores(const at::Tensor& cores, at::Tensor& values) const {
  std::int64_t at = 0;
  const std::int64_t clients = values.size(0);
  for (const CoreTarget& of : cores_) {
    const std::int64_t count = of.rank * of.rank;
    const at::Tensor core = cores.narrow(1, at, count).view({clients, of.rank, of.rank});
    values.narrow(1, of.offset, of.out * of.rank)
        .view({clients, of.out, of.rank})
        .add_(at::matmul(of.basis, core));
    at += count;
  }
}

std::vector<double> PackOptimizer::prepare(std::span<const Turn> turns,
                                           at::Tensor& gradient) const {
  if (offset_.defined()) gradient.add_(rows(offset_, turns));
  if (start_.defined()) {
    std::vector<float> pulls;
    for (const Turn& turn : turns) pulls.push_back(settings_[turn.client].proximal_mu);
    gradient.add_(column(pulls) * (rows(values_, turns) - rows(start_, turns)));
  }
  if (is_a_.defined()) gradient.mul_(trained(turns));
  if (!cores_.empty()) {
    const at::Tensor cores = cores_of(gradient);
    gradient.zero_();
    gradient.narrow(1, 0, cores.size(1)).copy_(cores);
  }
  const at::Tensor norms = at::linalg_vector_norm(gradient, 2, at::IntArrayRef{1}).cpu();
  const float* const measured = norms.const_data_ptr<float>();
  std::vector<double> all(measured, measured + norms.numel());
  std::vector<float> factors;
  bool clipped = false;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const auto limit = static_cast<double>(settings_[turns[i].client].max_gradient_norm);
    // PyTorch's clip_grad_norm_: the 1e-6 keeps a norm of zero from dividing.
    const bool over = limit > 0 && all[i] > limit;
    factors.push_back(over ? static_cast<float>(limit / (all[i] + 1e-6)) : 1.0F);
    clipped = clipped || over;
  }
  if (clipped) gradient.mul_(column(factors));
  return all;
}

void PackOptimizer::adamw(std::span<const Turn> turns, const at::Tensor& gradient,
                          at::Tensor& values, at::Tensor& first, at::Tensor& second) {
  std::vector<float> keep, weight1, weight2, size, root, epsilon;
  bool decays = false;
  for (const Turn& turn : turns) {
    const OptimizerSettings& of = settings_[turn.client];
    const auto number = static_cast<double>(steps_[turn.client]);
    const auto bias = [&](float beta) { return 1.0 - std::pow(double{beta}, number); };
    const double rate = double{of.learning_rate} * double{turn.rate_factor};
    keep.push_back(static_cast<float>(1.0 - rate * double{of.weight_decay}));
    weight1.push_back(static_cast<float>(1.0 - double{of.beta1}));
    weight2.push_back(static_cast<float>(1.0 - double{of.beta2}));
    size.push_back(static_cast<float>(rate / bias(of.beta1)));
    root.push_back(static_cast<float>(1.0 / std::sqrt(bias(of.beta2))));
    epsilon.push_back(of.epsilon);
    decays = decays || of.weight_decay > 0;
  }
  first.lerp_(gradient, column(weight1));
  second.lerp_(gradient.square(), column(weight2));
  at::Tensor change = second.sqrt().mul_(column(root)).add_(column(epsilon));
  change.reciprocal_().mul_(first).mul_(column(size));
  if (decays) values.mul_(column(keep));
  values.sub_(change);
}

void PackOptimizer::sgd(std::span<const Turn> turns, const at::Tensor& gradient, at::Tensor& values,
                        at::Tensor& first) const {
  std::vector<float> momentum, decay, rate;
  for (const Turn& turn : turns) {
    const OptimizerSettings& of = settings_[turn.client];
    momentum.push_back(of.momentum);
    decay.push_back(of.weight_decay);
    rate.push_back(of.learning_rate * turn.rate_factor);
  }
  first.mul_(column(momentum)).add_(gradient).add_(values * column(decay));
  values.sub_(first * column(rate));
}

void PackOptimizer::update(std::span<const Turn> turns, const at::Tensor& gradient,
                           at::Tensor& values, at::Tensor& first, at::Tensor& second) {
  if (settings_.front().kind == OptimizerKind::kSgd) {
    sgd(turns, gradient, values, first);
  } else {
    adamw(turns, gradient, values, first, second);
  }
}

void PackOptimizer::step(std::span<const Turn> turns, const at::Tensor& gradient) {
  for (const Turn& turn : turns) ++steps_[turn.client];
  at::Tensor values = rows(values_, turns), first = rows(first_, turns),
             second = rows(second_, turns);
  if (cores_.empty()) {
    const at::Tensor before = is_a_.defined() ? values.clone() : at::Tensor();
    update(turns, gradient, values, first, second);
    if (before.defined()) values.copy_(at::where(trained(turns), values, before));
  } else {
    at::Tensor cores = cores_of(values);
    const at::Tensor before = cores.clone();
    const std::int64_t count = cores.size(1);
    at::Tensor of_first = first.narrow(1, 0, count), of_second = second.narrow(1, 0, count);
    update(turns, gradient.narrow(1, 0, count), cores, of_first, of_second);
    add_cores(cores - before, values);
  }
  if (all_have(turns)) return;
  const at::Tensor where = clients_of(turns);
  values_.index_copy_(0, where, values);
  first_.index_copy_(0, where, first);
  second_.index_copy_(0, where, second);
}

PackOptimizer::ClientState PackOptimizer::state(std::size_t client) const {
  const auto row = [&](const at::Tensor& of) {
    return of[static_cast<std::int64_t>(client)].to(at::kCPU, at::kFloat, false, true);
  };
  return {row(values_), row(first_), row(second_), steps_[client]};
}

void PackOptimizer::restore(std::size_t client, const TrainState& state) {
  const auto put = [&](const at::Tensor& into, std::span<const float> from) {
    into[static_cast<std::int64_t>(client)].copy_(to_device(from, compute_));
  };
  put(values_, state.values);
  put(first_, state.first_moment);
  put(second_, state.second_moment);
  steps_[client] = state.steps;
}

} // namespace coppice::graph::packed
