// SPDX-License-Identifier: Apache-2.0
#include "model/native/train_session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/text.h"
#include "model/adapter_optimizer.h"
#include "model/input_checks.h"
#include "model/native/memory_plan.h"
#include "model/native/score.h"

namespace coppice::native {
namespace {

// Sequences that are computed together, and what they predict.
struct Pass {
  PassShape shape;
  std::vector<TokenId> tokens;
  std::vector<std::size_t> rows; // that predict
  std::vector<TokenId> targets;  // what they predict
};

std::vector<Pass> make_passes(const Batch& batch, std::size_t most_tokens) {
  std::vector<Pass> passes;
  for (const Sequence& sequence : batch.sequences) {
    if (predicted_tokens(sequence) == 0) continue;
    if (passes.empty() || passes.back().tokens.size() + sequence.tokens.size() > most_tokens) {
      passes.emplace_back();
    }
    Pass& pass = passes.back();
    const std::size_t begin = pass.tokens.size();
    pass.shape.add(sequence.tokens.size());
    pass.tokens.insert(pass.tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
      if (sequence.targets[i] == 0) continue;
      pass.rows.push_back(begin + i - 1);
      pass.targets.push_back(sequence.tokens[i]);
    }
  }
  return passes;
}

// The memory of a pass, kept from step to step.
class PassRunner {
 public:
  explicit PassRunner(Transformer& transformer) : transformer_(transformer) {}
  // Nats over the pass's targets; gradients of sum(weight * nats) go where `lora` says.
  double run(const Pass& pass, const ModelLora& lora, const TrainingPlan& plan, float weight);
  // Its memory goes; the next run takes it anew.
  void release() { *this = PassRunner(transformer_.get()); }

 private:
  void reserve(const Pass& pass, const TrainingPlan& plan);
  LayerActivations activations(std::size_t layer, std::size_t tokens);
  bool keeps(std::size_t layer) const;
  double loss(const Pass& pass, const FloatRows& x, const FloatRows& dx, float weight);

  std::reference_wrapper<Transformer> transformer_;
  TrainingPlan plan_;
  std::size_t reserved_tokens_ = 0;
  Buffer kept_;   // activations of the kept layers, and one place for the others
  Buffer inputs_; // of the others, float32
  Buffer x_, dx_, factors_, logits_;
  std::unique_ptr<PassMemory> memory_;
};

bool PassRunner::keeps(std::size_t layer) const {
  return layer >= transformer_.get().layers().size() - plan_.kept_layers;
}

void PassRunner::reserve(const Pass& pass, const TrainingPlan& plan) {
  plan_ = plan;
  if (pass.shape.tokens > reserved_tokens_) {
    reserved_tokens_ = pass.shape.tokens;
    memory_ = nullptr;
    memory_ = std::make_unique<PassMemory>(transformer_.get().config(),
                                           transformer_.get().kernels(), reserved_tokens_);
  }
  const std::size_t others = transformer_.get().layers().size() - plan.kept_layers;
  std::uint64_t bytes = 0;
  (void)LayerActivations::at(transformer_.get().config(), transformer_.get().kernels().fast,
                             pass.shape.tokens, nullptr, &bytes);
  kept_.reserve((plan.kept_layers + (others > 0 ? 1 : 0)) * bytes);
  inputs_.reserve(others * pass.shape.tokens * transformer_.get().config().width * sizeof(float));
}

LayerActivations PassRunner::activations(std::size_t layer, std::size_t tokens) {
  std::uint64_t bytes = 0;
  (void)LayerActivations::at(transformer_.get().config(), transformer_.get().kernels().fast, tokens,
                             nullptr, &bytes);
  // Kept layers are the upper ones; the place of the others is the first.
  const std::size_t others = transformer_.get().layers().size() - plan_.kept_layers;
  const std::size_t place = keeps(layer) ? layer - others + (others > 0 ? 1 : 0) : 0;
  return LayerActivations::at(transformer_.get().config(), transformer_.get().kernels().fast,
                              tokens, kept_.data() + place * bytes, &bytes);
}

double PassRunner::loss(const Pass& pass, const FloatRows& x, const FloatRows& dx, float weight) {
  const std::size_t width = transformer_.get().config().width;
  // Places of the pass, which no layer is at now.
  const ElementRows normed =
      element_rows(transformer_.get().kernels().precise, memory_->input, pass.rows.size(), width);
  const FloatRows d_normed = float_rows(memory_->narrow, pass.rows.size(), width);
  factors_.reserve(pass.rows.size() * sizeof(float));
  transformer_.get().final_norm(x, pass.rows, transformer_.get().kernels().precise, normed,
                                factors_.floats());
  std::vector<double> nats(pass.rows.size());
  const std::vector<float> weights(pass.rows.size(), weight);
  cross_entropy(transformer_.get().pool(), transformer_.get().kernels(), transformer_.get().head(),
                {.hidden = normed,
                 .targets = pass.targets,
                 .weights = weights,
                 .nats = nats,
                 .correct = {},
                 .d_hidden = d_normed},
                logits_);
  transformer_.get().final_norm_back(d_normed, pass.rows, x, factors_.floats(), dx);
  double sum = 0;
  for (const double nat : nats) sum += nat;
  return sum;
}

double PassRunner::run(const Pass& pass, const ModelLora& lora, const TrainingPlan& plan,
                       float weight) {
  const std::size_t tokens = pass.shape.tokens;
  const std::size_t width = transformer_.get().config().width;
  const std::vector<Layer>& layers = transformer_.get().layers();
  reserve(pass, plan);
  std::size_t longest = 0;
  for (const TokenRange& range : pass.shape.sequences) longest = std::max(longest, range.count);
  transformer_.get().prepare_positions(longest);

  const FloatRows x = float_rows(x_, tokens, width);
  const FloatRows dx = float_rows(dx_, tokens, width);
  const std::size_t bytes = tokens * width * sizeof(float);
  transformer_.get().embed(pass.tokens, x);
  WorkerPool& pool = transformer_.get().pool();
  const EngineKernels& kernels = transformer_.get().kernels();
  const auto forward = [&](std::size_t layer) {
    LayerActivations kept = activations(layer, tokens);
    layers[layer].forward(pass.shape, lora.layer_now(layer, kernels.precise, layers[layer]), x,
                          kept, *memory_);
  };
  for (std::size_t layer = 0; layer < layers.size() && !pool.stopped(); ++layer) {
    if (!keeps(layer)) std::memcpy(inputs_.data() + layer * bytes, x.data, bytes);
    forward(layer);
  }
  const double nats = loss(pass, x, dx, weight);
  const std::size_t lowest = lora.lowest_trained();
  for (std::size_t layer = layers.size(); layer-- > lowest && !pool.stopped();) {
    if (!keeps(layer)) {
      std::memcpy(x.data, inputs_.data() + layer * bytes, bytes);
      forward(layer);
    }
    const LayerActivations kept = activations(layer, tokens);
    layers[layer].backward(pass.shape, lora.layer_now(layer, kernels.fast, layers[layer]), kept, dx,
                           layer > lowest, *memory_);
  }
  return nats;
}

class NativeTrainSession final : public TrainSession {
 public:
  NativeTrainSession(Transformer& transformer, const std::vector<TrainJob>& jobs,
                     std::uint64_t activation_bytes, bool round_tokens);
  std::size_t clients() const override { return clients_.size(); }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override;
  Result<std::vector<Score>> score(std::span<const std::span<const Sequence>> texts) override;
  Result<Adapter> gradient(std::size_t client, const Batch& batch) override;
  Result<Adapter> adapter(std::size_t client) const override;
  Result<std::span<const float>> values(std::size_t client) const override {
    COPPICE_TRY(check_client(client));
    return std::span<const float>(clients_[client].values);
  }
  Result<TrainState> state(std::size_t client) const override;
  Result<void> restore(std::size_t client, const TrainState& state) override;

 private:
  struct Client {
    std::vector<AdapterUse> frozen;
    std::vector<float> values;
    AdapterOptimizer optimizer;
    std::unique_ptr<ModelLora> lora;
  };
  // Fills gradients_, and changes nothing else that a later step looks at. The loss may be no
  // finite number.
  Result<StepResult> forward_backward(std::size_t client, const Batch& batch);
  Result<StepResult> interruptible_forward_backward(std::size_t client, const Batch& batch);
  Result<void> check_client(std::size_t client) const;

  Transformer& transformer_;
  std::uint64_t activation_bytes_;
  bool round_tokens_; // in scores
  std::shared_ptr<const AdapterSpec> spec_;
  std::vector<float> gradients_; // of the client at work
  std::vector<Client> clients_;
  PassRunner runner_;
};

NativeTrainSession::NativeTrainSession(Transformer& transformer, const std::vector<TrainJob>& jobs,
                                       std::uint64_t activation_bytes, bool round_tokens)
    : transformer_(transformer),
      activation_bytes_(activation_bytes),
      round_tokens_(round_tokens),
      spec_(jobs[0].start->shared_spec()),
      gradients_(spec_->parameters()),
      runner_(transformer) {
  clients_.reserve(jobs.size());
  for (const TrainJob& job : jobs) {
    const auto start = job.start->values();
    clients_.push_back({.frozen = job.frozen,
                        .values = {start.begin(), start.end()},
                        .optimizer = AdapterOptimizer(spec_, job),
                        .lora = std::make_unique<ModelLora>(transformer.no_adapters())});
    Client& client = clients_.back();
    for (const AdapterUse& use : job.frozen) client.lora->add(use);
    client.lora->add_trainable(*spec_, client.values.data(), gradients_.data(),
                               job.optimizer.train_a, job.optimizer.train_b);
  }
}

Result<StepResult> NativeTrainSession::forward_backward(std::size_t client, const Batch& batch) {
  COPPICE_TRY(check_batch(client, batch, transformer_.config()));
  StepResult result;
  std::size_t longest = 0;
  std::size_t total = 0;
  for (const Sequence& sequence : batch.sequences) {
    result.tokens += predicted_tokens(sequence);
    longest = std::max(longest, sequence.tokens.size());
    total += sequence.tokens.size();
  }
  std::ranges::fill(gradients_, 0.0F);
  const ModelLora& lora = *clients_[client].lora;
  const TrainingPlan plan =
      COPPICE_TRY(plan_memory(transformer_.config(), transformer_.kernels(),
                              {.threads = transformer_.pool().threads(),
                               .longest = longest,
                               .total = total,
                               .lora_width = lora.widest_group(transformer_.kernels().precise),
                               .budget = activation_bytes_}));
  const auto weight = static_cast<float>(1.0 / static_cast<double>(result.tokens));
  for (const Pass& pass : make_passes(batch, plan.pass_tokens)) {
    result.loss += runner_.run(pass, lora, plan, weight);
  }
  result.loss /= static_cast<double>(result.tokens);
  return result;
}

Result<StepResult> NativeTrainSession::interruptible_forward_backward(std::size_t client,
                                                                      const Batch& batch) {
  const WorkerPool::Interruptible work(transformer_.pool());
  auto result = forward_backward(client, batch);
  if (work.stopped()) return stopped_error();
  return result;
}

Result<std::vector<StepResult>> NativeTrainSession::step(std::span<const Batch> batches) {
  if (batches.size() != clients()) {
    return invalid_argument(
        cat("a step needs a batch for each of the ", clients(), " clients, not ", batches.size()));
  }
  COPPICE_TRY(check_any_works(batches));
  const auto rests = [&](std::size_t client) { return batches[client].sequences.empty(); };
  for (std::size_t client = 0; client < clients(); ++client) {
    if (!rests(client)) COPPICE_TRY(check_batch(client, batches[client], transformer_.config()));
  }
  std::vector<StepResult> results(clients());
  bool updated = false;
  for (std::size_t i = 0; i < clients(); ++i) {
    if (rests(i)) continue;
    // Once a client is updated the step goes on to its end.
    StepResult result = COPPICE_TRY(updated ? forward_backward(i, batches[i])
                                            : interruptible_forward_backward(i, batches[i]));
    Client& client = clients_[i];
    result.gradient_norm = client.optimizer.prepare(client.values, gradients_);
    if (settle(result)) {
      client.optimizer.update(gradients_, batches[i].learning_rate_factor, client.values);
      updated = true;
    }
    results[i] = result;
  }
  return results;
}

Result<std::vector<Score>> NativeTrainSession::score(
    std::span<const std::span<const Sequence>> texts) {
  COPPICE_TRY(check_texts(texts, clients()));
  std::vector<Score> scores(clients());
  runner_.release(); // so that a client never holds what both training and scoring take
  for (std::size_t client = 0; client < clients(); ++client) {
    if (texts[client].empty()) continue;
    const Adapter present = COPPICE_TRY(adapter(client));
    std::vector<AdapterUse> uses = clients_[client].frozen;
    uses.push_back({&present, 1.0F});
    for (const Score& score :
         COPPICE_TRY(score_sequences(transformer_, uses, texts[client], round_tokens_))) {
      scores[client] += score;
    }
  }
  return scores;
}

Result<Adapter> NativeTrainSession::gradient(std::size_t client, const Batch& batch) {
  COPPICE_TRY(check_client(client));
  COPPICE_TRY(check_finite(COPPICE_TRY(interruptible_forward_backward(client, batch))));
  Adapter result(spec_);
  std::ranges::copy(gradients_, result.values().begin());
  return result;
}

Result<Adapter> NativeTrainSession::adapter(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  Adapter result(spec_);
  std::ranges::copy(clients_[client].values, result.values().begin());
  return result;
}

Result<TrainState> NativeTrainSession::state(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  return clients_[client].optimizer.state(clients_[client].values);
}

Result<void> NativeTrainSession::restore(std::size_t client, const TrainState& state) {
  COPPICE_TRY(check_client(client));
  return clients_[client].optimizer.restore(state, clients_[client].values);
}

Result<void> NativeTrainSession::check_client(std::size_t client) const {
  if (client < clients()) return {};
  return invalid_argument(cat("there is no client ", client, " in this session"));
}

} // namespace

Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes,
                                                          bool round_tokens) {
  COPPICE_TRY(check_jobs(jobs, transformer.base()));
  return std::unique_ptr<TrainSession>(
      std::make_unique<NativeTrainSession>(transformer, jobs, activation_bytes, round_tokens));
}

} // namespace coppice::native
