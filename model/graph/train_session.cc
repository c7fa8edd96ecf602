// SPDX-License-Identifier: Apache-2.0
#include "model/graph/train_session.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/graph/guard.h"
#include "model/graph/kernels.h"
#include "model/graph/sequences.h"

namespace coppice::graph {
namespace {

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

Result<void> check_optimizer(const OptimizerSettings& settings) {
  const auto in_unit = [](float beta) { return beta >= 0 && beta < 1; };
  const auto not_negative = [](float x) { return std::isfinite(x) && x >= 0; };
  if (!not_negative(settings.learning_rate)) return invalid("the learning rate must be 0 or more");
  if (!in_unit(settings.beta1) || !in_unit(settings.beta2)) {
    return invalid("AdamW's betas must be at least 0 and below 1");
  }
  if (!not_negative(settings.epsilon) || !not_negative(settings.weight_decay) ||
      !not_negative(settings.max_gradient_norm) || !not_negative(settings.proximal_mu)) {
    return invalid(
        "AdamW's epsilon, weight decay, gradient norm and proximal mu must be 0 or more");
  }
  if (!settings.train_a && !settings.train_b) {
    return invalid("neither A nor B is trained; set train_a or train_b");
  }
  return {};
}

Result<void> check_jobs(const std::vector<TrainJob>& jobs, const BaseModel& base) {
  if (jobs.empty()) return invalid("there is nothing to train; give at least one job");
  COPPICE_TRY(check_fits(jobs[0].start.spec(), base));
  for (const TrainJob& job : jobs) {
    if (job.start.spec() != jobs[0].start.spec()) {
      return invalid("jobs that train together need adapters of one spec");
    }
    for (const AdapterUse& use : job.frozen) COPPICE_TRY(check_fits(use.adapter->spec(), base));
    COPPICE_TRY(check_optimizer(job.optimizer));
  }
  return {};
}

// What a token's forward pass leaves for the backward pass, over all layers.
std::uint64_t activation_bytes_per_token(const ModelConfig& config) {
  const std::uint64_t width = config.width;
  const std::uint64_t q = std::uint64_t{config.heads} * config.head_width;
  const std::uint64_t kv = std::uint64_t{config.kv_heads} * config.head_width;
  // two norms' inputs and outputs, q, k, v and what attention gives; gate, up and their product
  return sizeof(float) * config.layers *
         (4 * width + 2 * q + 2 * kv + 3 * std::uint64_t{config.feed_forward});
}

// A client's row of the (K, P) arrays, and its optimizer's state.
struct Client {
  OptimizerSettings optimizer;
  std::vector<float> start;
  std::vector<float> first; // moments
  std::vector<float> second;
  std::uint64_t steps = 0;
};

class GraphTrainSession final : public TrainSession {
 public:
  GraphTrainSession(Transformer& transformer, std::vector<TrainJob> jobs,
                    std::uint64_t activation_bytes);

  std::size_t clients() const override { return clients_.size(); }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override;
  Result<Adapter> gradient(std::size_t client, const Batch& batch) override;
  Result<Adapter> adapter(std::size_t client) const override;

 private:
  Result<void> check_batch(std::size_t client, const Batch& batch) const;
  // Fills gradients_ and gives each client's loss. Clients whose batch is null have no part.
  Result<std::vector<StepResult>> forward_backward(std::span<const Batch* const> batches);
  void run_pass(const Pass& pass, std::span<const std::uint64_t> predicted,
                std::vector<StepResult>& results);
  void bind_trainable(const AdapterSpec& spec);
  double prepare_gradient(std::size_t client);
  void update(std::size_t client, float rate_factor);
  float* row(std::vector<float>& values, std::size_t client) {
    return &values[client * parameters_];
  }

  Transformer& transformer_;
  std::uint64_t pass_tokens_;
  std::shared_ptr<const AdapterSpec> spec_;
  std::size_t parameters_;       // P
  std::vector<float> values_;    // (K, P)
  std::vector<float> gradients_; // (K, P)
  std::vector<Client> clients_;
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
      spec_(jobs[0].start.shared_spec()),
      parameters_(spec_->parameters()),
      adapters_(transformer.base().config(), jobs.size()) {
  for (std::size_t client = 0; client < jobs.size(); ++client) {
    const auto start = jobs[client].start.values();
    adapters_.add_frozen(transformer.base(), client, jobs[client].frozen);
    values_.insert(values_.end(), start.begin(), start.end());
    clients_.push_back({.optimizer = jobs[client].optimizer,
                        .start = {start.begin(), start.end()},
                        .first = std::vector<float>(parameters_),
                        .second = std::vector<float>(parameters_)});
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
    return std::any_of(clients_.begin(), clients_.end(),
                       [&](const Client& client) { return client.optimizer.*wanted; });
  };
  const auto leaf = [&](std::size_t offset, std::int64_t rows, std::int64_t columns, bool wanted) {
    at::Tensor tensor = slot_tensor(values_, clients_.size(), offset, rows, columns);
    if (wanted) {
      tensor.requires_grad_();
      leaves_.push_back({tensor, slot_tensor(gradients_, clients_.size(), offset, rows, columns)});
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

Result<void> GraphTrainSession::check_batch(std::size_t client, const Batch& batch) const {
  std::uint64_t predicted = 0;
  for (const Sequence& sequence : batch.sequences) {
    COPPICE_TRY(check_sequence(sequence, transformer_.base().config()));
    predicted += predicted_tokens(sequence);
  }
  if (predicted == 0) {
    return invalid(
        cat("the batch of client ", client, " predicts no token; give it text with targets"));
  }
  if (!std::isfinite(batch.learning_rate_factor) || batch.learning_rate_factor < 0) {
    return invalid("the learning rate's factor must be 0 or more");
  }
  return {};
}

Result<std::vector<StepResult>> GraphTrainSession::forward_backward(
    std::span<const Batch* const> batches) {
  std::vector<OwnedSequence> owned;
  std::vector<std::uint64_t> predicted(clients());
  for (std::size_t client = 0; client < batches.size(); ++client) {
    if (batches[client] == nullptr) continue;
    COPPICE_TRY(check_batch(client, *batches[client]));
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
  }
  for (Leaf& leaf : leaves_) {
    if (leaf.values.grad().defined()) leaf.gradient.copy_(leaf.values.grad());
    leaf.values.mutable_grad().reset();
  }
  for (std::size_t client = 0; client < clients(); ++client) {
    results[client].tokens = predicted[client];
    if (predicted[client] != 0) results[client].loss /= static_cast<double>(predicted[client]);
    if (!std::isfinite(results[client].loss)) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("the loss of client ", client,
                       " is no finite number any more; start again "
                       "with a lower learning rate or with gradient clipping")};
    }
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

// Adds the proximal pull, clears what isn't trained, clips. Returns the norm before clipping.
double GraphTrainSession::prepare_gradient(std::size_t client) {
  const Client& state = clients_[client];
  const OptimizerSettings& settings = state.optimizer;
  float* gradient = row(gradients_, client);
  const float* values = row(values_, client);
  for (std::size_t i = 0; settings.proximal_mu > 0 && i < parameters_; ++i) {
    gradient[i] += settings.proximal_mu * (values[i] - state.start[i]);
  }
  std::size_t offset = 0;
  for (const AdapterTarget& target : spec_->targets) {
    if (!settings.train_a) std::fill_n(gradient + offset, target.a_elements(), 0.0F);
    offset += target.a_elements();
    if (!settings.train_b) std::fill_n(gradient + offset, target.b_elements(), 0.0F);
    offset += target.b_elements();
  }
  double squares = 0;
  for (std::size_t i = 0; i < parameters_; ++i) {
    squares += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  }
  const double norm = std::sqrt(squares);
  const auto limit = static_cast<double>(settings.max_gradient_norm);
  // PyTorch's clip_grad_norm_: the 1e-6 keeps a norm of zero from dividing.
  if (limit > 0 && norm > limit)
    scale_row(gradient, static_cast<float>(limit / (norm + 1e-6)), parameters_);
  return norm;
}

void GraphTrainSession::update(std::size_t client, float rate_factor) {
  Client& state = clients_[client];
  const OptimizerSettings& settings = state.optimizer;
  ++state.steps;
  const double rate =
      static_cast<double>(settings.learning_rate) * static_cast<double>(rate_factor);
  const auto bias = [&](float beta) {
    return 1.0 - std::pow(static_cast<double>(beta), static_cast<double>(state.steps));
  };
  const AdamStep adam{
      .decay = static_cast<float>(1.0 - rate * static_cast<double>(settings.weight_decay)),
      .beta1 = settings.beta1,
      .beta2 = settings.beta2,
      .step_size = static_cast<float>(rate / bias(settings.beta1)),
      .root_bias = static_cast<float>(std::sqrt(bias(settings.beta2))),
      .epsilon = settings.epsilon};
  std::size_t offset = 0;
  const auto slot = [&](std::size_t elements, bool trained) {
    if (trained) {
      adam_update(adam, row(gradients_, client) + offset, elements, &state.first[offset],
                  &state.second[offset], row(values_, client) + offset);
    }
    offset += elements;
  };
  for (const AdapterTarget& target : spec_->targets) {
    slot(target.a_elements(), settings.train_a);
    slot(target.b_elements(), settings.train_b);
  }
}

Result<std::vector<StepResult>> GraphTrainSession::step(std::span<const Batch> batches) {
  if (batches.size() != clients()) {
    return invalid(
        cat("a step needs a batch for each of the ", clients(), " clients, not ", batches.size()));
  }
  return guarded([&]() -> Result<std::vector<StepResult>> {
    std::vector<const Batch*> all;
    for (const Batch& batch : batches) all.push_back(&batch);
    auto results = COPPICE_TRY(forward_backward(all));
    for (std::size_t client = 0; client < clients(); ++client) {
      results[client].gradient_norm = prepare_gradient(client);
      if (!std::isfinite(results[client].gradient_norm)) {
        return Error{ErrorCode::kFailedPrecondition, cat("the gradient of client ", client,
                                                         " is not finite; start again with a "
                                                         "lower learning rate")};
      }
    }
    for (std::size_t client = 0; client < clients(); ++client) {
      update(client, batches[client].learning_rate_factor);
    }
    return results;
  });
}

Result<Adapter> GraphTrainSession::gradient(std::size_t client, const Batch& batch) {
  if (client >= clients()) return invalid(cat("there is no client ", client, " in this session"));
  return guarded([&]() -> Result<Adapter> {
    std::vector<const Batch*> one(clients());
    one[client] = &batch;
    COPPICE_TRY(forward_backward(one));
    Adapter result(spec_);
    std::copy_n(row(gradients_, client), parameters_, result.values().begin());
    return result;
  });
}

Result<Adapter> GraphTrainSession::adapter(std::size_t client) const {
  if (client >= clients()) return invalid(cat("there is no client ", client, " in this session"));
  Adapter result(spec_);
  std::copy_n(&values_[client * parameters_], parameters_, result.values().begin());
  return result;
}

} // namespace

Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes) {
  COPPICE_TRY(check_jobs(jobs, transformer.base()));
  return std::unique_ptr<TrainSession>(
      std::make_unique<GraphTrainSession>(transformer, std::move(jobs), activation_bytes));
}

} // namespace coppice::graph
