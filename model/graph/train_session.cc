// SPDX-License-Identifier: Apache-2.0
#include "model/graph/train_session.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/text.h"
#include "model/adapter_optimizer.h"
#include "model/graph/guard.h"
#include "model/graph/score.h"
#include "model/graph/sequences.h"
#include "model/input_checks.h"

namespace coppice::graph {
namespace {

// What a token's forward pass leaves for the backward pass, over all layers.
std::uint64_t activation_bytes_per_token(const ModelConfig& config) {
  const std::uint64_t width = config.width;
  const std::uint64_t q = std::uint64_t{config.heads} * config.head_width;
  const std::uint64_t kv = std::uint64_t{config.kv_heads} * config.head_width;
  // two norms' inputs and outputs, q, k, v and what attention gives; gate, up and their product
  return sizeof(float) * config.layers *
         (4 * width + 2 * q + 2 * kv + 3 * std::uint64_t{config.feed_forward});
}

class GraphTrainSession final : public TrainSession {
 public:
  GraphTrainSession(Transformer& transformer, std::vector<TrainJob> jobs,
                    std::uint64_t activation_bytes);

  std::size_t clients() const override { return optimizers_.size(); }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override;
  Result<std::vector<Score>> score(std::span<const std::span<const Sequence>> texts) override;
  Result<Adapter> gradient(std::size_t client, const Batch& batch) override;
  Result<Adapter> adapter(std::size_t client) const override;
  Result<std::span<const float>> values(std::size_t client) const override {
    COPPICE_TRY(check_client(client));
    return std::span(values_).subspan(client * parameters_, parameters_);
  }
  Result<TrainState> state(std::size_t client) const override;
  Result<void> restore(std::size_t client, const TrainState& state) override;

 private:
  // Fills gradients_ and gives each client's loss, which may be no finite number. Clients whose
  // batch is null have no part.
  Result<std::vector<StepResult>> forward_backward(std::span<const Batch* const> batches);
  void run_pass(const Pass& pass, std::span<const std::uint64_t> predicted,
                std::vector<StepResult>& results);
  void bind_trainable(const AdapterSpec& spec);
  Result<void> check_client(std::size_t client) const;
  std::span<float> row(std::vector<float>& values, std::size_t client) {
    return std::span(values).subspan(client * parameters_, parameters_);
  }

  Transformer& transformer_;
  std::uint64_t pass_tokens_;
  std::shared_ptr<const AdapterSpec> spec_;
  std::size_t parameters_;                   // P
  std::vector<float> values_;                // (K, P)
  std::vector<float> gradients_;             // (K, P)
  std::vector<AdapterOptimizer> optimizers_; // one a client
  std::vector<std::vector<AdapterUse>> frozen_;
  LoraStack adapters_;
  struct Leaf {
    at::Tensor values;   // autograd adds up its gradient,
    at::Tensor gradient; // which goes to its slots of gradients_
  };
  std::vector<Leaf> leaves_;
};

GraphTrainSession::GraphTrainSession(Transformer& transformer, std::vector<TrainJob> jobs,
                                     std::uint64_t activation_bytes)
    : transformer_(transformer),
      pass_tokens_(activation_bytes / activation_bytes_per_token(transformer.base().config())),
      spec_(jobs[0].start->shared_spec()),
      parameters_(spec_->parameters()),
      adapters_(transformer.base().config(), jobs.size()) {
  for (std::size_t client = 0; client < jobs.size(); ++client) {
    const auto start = jobs[client].start->values();
    adapters_.add_frozen(transformer.base(), client, jobs[client].frozen);
    frozen_.push_back(std::move(jobs[client].frozen));
    values_.insert(values_.end(), start.begin(), start.end());
    optimizers_.emplace_back(spec_, jobs[client]);
  }
  gradients_.resize(values_.size());
  bind_trainable(*spec_);
}

// A tensor (K, rows, columns) over each client's slot at `offset` of `values`.
at::Tensor slot_tensor(std::vector<float>& values, std::size_t clients, std::size_t offset,
                       std::int64_t rows, std::int64_t columns) {
  const auto count = static_cast<std::int64_t>(clients);
  const auto stride = static_cast<std::int64_t>(values.size() / clients);
  return at::from_blob(values.data() + offset, {count, rows, columns}, {stride, columns, 1},
                       at::kFloat);
}

void GraphTrainSession::bind_trainable(const AdapterSpec& spec) {
  const auto any = [&](bool OptimizerSettings::*wanted) {
    return std::ranges::any_of(optimizers_, [&](const AdapterOptimizer& optimizer) {
      return optimizer.settings().*wanted;
    });
  };
  const auto leaf = [&](std::size_t offset, std::int64_t rows, std::int64_t columns, bool wanted) {
    at::Tensor tensor = slot_tensor(values_, clients(), offset, rows, columns);
    if (wanted) {
      tensor.requires_grad_();
      leaves_.push_back({tensor, slot_tensor(gradients_, clients(), offset, rows, columns)});
    }
    return tensor;
  };
  const auto indices = module_indices(spec, transformer_.base());
  std::size_t offset = 0;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    const AdapterTarget& target = spec.targets[t];
    TrainableLora& trainable = adapters_.at(indices[t]).trainable;
    trainable.a = leaf(offset, target.rank, target.in, any(&OptimizerSettings::train_a));
    offset += target.a_elements();
    trainable.b = leaf(offset, target.out, target.rank, any(&OptimizerSettings::train_b));
    offset += target.b_elements();
    trainable.scale = spec.scale(t);
  }
}

Result<std::vector<StepResult>> GraphTrainSession::forward_backward(
    std::span<const Batch* const> batches) {
  std::vector<OwnedSequence> owned;
  std::vector<std::uint64_t> predicted(clients());
  for (std::size_t client = 0; client < batches.size(); ++client) {
    if (batches[client] == nullptr) continue;
    COPPICE_TRY(check_batch(client, *batches[client], transformer_.base().config()));
    for (std::size_t i = 0; i < batches[client]->sequences.size(); ++i) {
      const Sequence& sequence = batches[client]->sequences[i];
      owned.push_back({&sequence, client, i});
      predicted[client] += predicted_tokens(sequence);
    }
  }
  std::fill(gradients_.begin(), gradients_.end(), 0.0F);
  // A step that failed midway may have left its part.
  for (Leaf& leaf : leaves_) leaf.values.mutable_grad().reset();
  std::vector<StepResult> results(clients());
  for (const Pass& pass : make_passes(owned, clients(), pass_tokens_)) {
    run_pass(pass, predicted, results);
    if (transformer_.stopped()) return stopped_error();
  }
  for (Leaf& leaf : leaves_) {
    if (leaf.values.grad().defined()) leaf.gradient.copy_(leaf.values.grad());
    leaf.values.mutable_grad().reset();
  }
  for (std::size_t client = 0; client < clients(); ++client) {
    results[client].tokens = predicted[client];
    if (predicted[client] != 0) results[client].loss /= static_cast<double>(predicted[client]);
  }
  return results;
}

void GraphTrainSession::run_pass(const Pass& pass, std::span<const std::uint64_t> predicted,
                                 std::vector<StepResult>& results) {
  std::vector<float> weights;
  weights.reserve(pass.rows.size());
  for (const std::size_t owner : pass.owners) {
    weights.push_back(
        static_cast<float>(1.0 / static_cast<double>(predicted[pass.sequences[owner].client])));
  }
  const at::AutoGradMode recording(true);
  const at::Tensor hidden = transformer_.hidden(pass.batch, adapters_);
  const at::Tensor normed =
      transformer_.final_norm(at::index_select(hidden, 0, at::tensor(pass.rows)));
  const CrossEntropy loss = cross_entropy(transformer_.pool(), normed.detach(), transformer_.head(),
                                          pass.targets, weights);
  for (std::size_t i = 0; i < loss.nats.size(); ++i) {
    results[pass.sequences[pass.owners[i]].client].loss += loss.nats[i];
  }
  normed.backward(loss.dhidden);
}

Result<std::vector<StepResult>> GraphTrainSession::step(std::span<const Batch> batches) {
  if (batches.size() != clients()) {
    return invalid_argument(
        cat("a step needs a batch for each of the ", clients(), " clients, not ", batches.size()));
  }
  return guarded([&]() -> Result<std::vector<StepResult>> {
    COPPICE_TRY(check_any_works(batches));
    std::vector<const Batch*> present;
    for (const Batch& batch : batches) {
      present.push_back(batch.sequences.empty() ? nullptr : &batch);
    }
    auto results = COPPICE_TRY(forward_backward(present));
    for (std::size_t client = 0; client < clients(); ++client) {
      if (present[client] == nullptr) continue;
      results[client].gradient_norm =
          optimizers_[client].prepare(row(values_, client), row(gradients_, client));
      if (!settle(results[client])) continue;
      optimizers_[client].update(row(gradients_, client), batches[client].learning_rate_factor,
                                 row(values_, client));
    }
    return results;
  });
}

Result<std::vector<Score>> GraphTrainSession::score(
    std::span<const std::span<const Sequence>> texts) {
  COPPICE_TRY(check_texts(texts, clients()));
  return guarded([&]() -> Result<std::vector<Score>> {
    std::vector<Score> scores(clients());
    for (std::size_t client = 0; client < clients(); ++client) {
      if (texts[client].empty()) continue;
      const Adapter present = COPPICE_TRY(adapter(client));
      std::vector<AdapterUse> uses = frozen_[client];
      uses.push_back({&present, 1.0F});
      for (const Score& score : COPPICE_TRY(score_sequences(transformer_, uses, texts[client]))) {
        scores[client] += score;
      }
    }
    return scores;
  });
}

Result<Adapter> GraphTrainSession::gradient(std::size_t client, const Batch& batch) {
  COPPICE_TRY(check_client(client));
  return guarded([&]() -> Result<Adapter> {
    std::vector<const Batch*> one(clients());
    one[client] = &batch;
    COPPICE_TRY(check_finite(COPPICE_TRY(forward_backward(one))[client]));
    Adapter result(spec_);
    std::ranges::copy(row(gradients_, client), result.values().begin());
    return result;
  });
}

Result<Adapter> GraphTrainSession::adapter(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  Adapter result(spec_);
  std::copy_n(&values_[client * parameters_], parameters_, result.values().begin());
  return result;
}

Result<TrainState> GraphTrainSession::state(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  return optimizers_[client].state(std::span(values_).subspan(client * parameters_, parameters_));
}

Result<void> GraphTrainSession::restore(std::size_t client, const TrainState& state) {
  COPPICE_TRY(check_client(client));
  return optimizers_[client].restore(state, row(values_, client));
}

Result<void> GraphTrainSession::check_client(std::size_t client) const {
  if (client < clients()) return {};
  return invalid_argument(cat("there is no client ", client, " in this session"));
}

} // namespace

TrainingPlan plan_training_passes(const ModelConfig& config, std::uint64_t activation_bytes,
                                  std::size_t longest, std::size_t total) {
  const std::uint64_t token = activation_bytes_per_token(config);
  TrainingPlan plan{.layers = config.layers, .kept_layers = config.layers};
  plan.pass_tokens =
      std::clamp<std::uint64_t>(activation_bytes / token, longest, std::max(longest, total));
  plan.kept_layer_bytes = plan.pass_tokens * token / config.layers;
  plan.bytes = plan.pass_tokens * token;
  return plan;
}

Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes) {
  COPPICE_TRY(check_jobs(jobs, transformer.base()));
  return std::unique_ptr<TrainSession>(
      std::make_unique<GraphTrainSession>(transformer, std::move(jobs), activation_bytes));
}

} // namespace coppice::graph
