// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/train_session.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "model/adapter_optimizer.h"
#include "model/graph/guard.h"
#include "model/graph/packed/pack_optimizer.h"
#include "model/graph/packed/score.h"
#include "model/input_checks.h"

namespace coppice::graph::packed {
namespace {

// (count, rows, columns) of a (count, P) tensor, from `offset` of each row on.
at::Tensor slot_of(const at::Tensor& all, std::int64_t offset, std::int64_t rows,
                   std::int64_t columns) {
  return all.narrow(1, offset, rows * columns).view({all.size(0), rows, columns});
}

// (K, P) on the device.
at::Tensor starting_values(const std::vector<TrainJob>& jobs, std::int64_t parameters,
                           const Compute& compute) {
  const auto clients = static_cast<std::int64_t>(jobs.size());
  const bool alike =
      std::ranges::all_of(jobs, [&](const TrainJob& job) { return job.start == jobs[0].start; });
  const at::Tensor starts = at::empty({alike ? 1 : clients, parameters}, at::kFloat);
  float* to = starts.data_ptr<float>();
  for (std::int64_t i = 0; i < starts.size(0); ++i) {
    to = std::ranges::copy(jobs[static_cast<std::size_t>(i)].start->values(), to).out;
  }
  // Of its own in any case: steps change it in place.
  return starts.to(compute.device).expand({clients, parameters}).contiguous();
}

class PackedTrainSession final : public TrainSession {
 public:
  PackedTrainSession(Transformer& transformer, std::vector<TrainJob> jobs,
                     std::uint64_t activation_bytes);

  std::size_t clients() const override { return clients_; }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override;
  Result<std::vector<Score>> score(std::span<const std::span<const Sequence>> texts) override;
  Result<Adapter> gradient(std::size_t client, const Batch& batch) override;
  Result<Adapter> adapter(std::size_t client) const override;
  Result<std::span<const float>> values(std::size_t client) const override;
  Result<TrainState> state(std::size_t client) const override;
  Result<void> restore(std::size_t client, const TrainState& state) override;

 private:
  Result<void> check_client(std::size_t client) const;
  struct Gradients {
    std::vector<PackOptimizer::Turn> turns; // of clients with a part
    at::Tensor values;                      // (turns, P) float32
    std::vector<StepResult> results;        // one a client of the session
  };
  // batches[k] is client k's, or null. Losses may be no finite numbers.
  Result<Gradients> forward_backward(std::span<const Batch* const> batches);
  // Gives the gradients of the pack's rows, (K, P) in the computation's type, and adds its losses.
  Result<at::Tensor> run_pack(const Pack& pack, std::span<StepResult> results);
  // Leaves those out whose loss or gradient is no finite number.
  void settle_all(Gradients& gradients);
  // The present adapters of the pack's rows, with room for their gradients, (K, P) or undefined.
  LoraTable loras_of(const Pack& pack, const at::Tensor& gradient) const;
  // Whose the pack's rows are; undefined where they are all clients in turn.
  at::Tensor owners_of(const Pack& pack) const;
  Result<void> fetch() const;

  Transformer& transformer_;
  const Compute compute_;
  std::size_t clients_;
  std::uint64_t pack_tokens_;
  std::shared_ptr<const AdapterSpec> spec_;
  std::vector<std::size_t> modules_; // of each target
  std::int64_t parameters_;          // P
  bool trains_a_ = false;            // any client
  bool trains_b_ = false;
  at::Tensor values_; // (K, P) float32
  at::Tensor low_;    // (K, P) in the computation's type, made anew for each use
  LoraTable frozen_;
  std::unique_ptr<PackOptimizer> optimizer_;
  // What state() and values() gave spans of, until the next step or restore().
  mutable std::map<std::size_t, PackOptimizer::ClientState> given_;
  mutable at::Tensor fetched_; // (K, P) on the CPU
};

PackedTrainSession::PackedTrainSession(Transformer& transformer, std::vector<TrainJob> jobs,
                                       std::uint64_t activation_bytes)
    : transformer_(transformer),
      compute_(transformer.compute()),
      clients_(jobs.size()),
      pack_tokens_(activation_bytes / transformer.activation_bytes_per_token()),
      spec_(jobs[0].start->shared_spec()),
      modules_(module_indices(*spec_, transformer.base())),
      parameters_(static_cast<std::int64_t>(spec_->parameters())),
      frozen_(transformer.base().config()) {
  values_ = starting_values(jobs, parameters_, compute_);
  std::vector<std::vector<AdapterUse>> lists;
  for (TrainJob& job : jobs) {
    trains_a_ = trains_a_ || job.optimizer.train_a;
    trains_b_ = trains_b_ || job.optimizer.train_b;
    lists.push_back(std::move(job.frozen));
  }
  add_frozen(frozen_, transformer, lists);
  optimizer_ = std::make_unique<PackOptimizer>(*spec_, jobs, values_, compute_);
}

at::Tensor PackedTrainSession::owners_of(const Pack& pack) const {
  std::vector<std::int64_t> owners;
  owners.reserve(pack.rows.size());
  bool all = pack.rows.size() == clients_;
  for (const ClientSequences& row : pack.rows) {
    all = all && row.client == owners.size();
    owners.push_back(static_cast<std::int64_t>(row.client));
  }
  return all ? at::Tensor() : to_device(owners, compute_);
}

LoraTable PackedTrainSession::loras_of(const Pack& pack, const at::Tensor& gradient) const {
  const auto count = static_cast<std::int64_t>(pack.rows.size());
  const at::Tensor owners = owners_of(pack);
  const auto rows = [&](const at::Tensor& of) {
    if (of.size(0) == 1) return of.expand({count, -1, -1});
    return owners.defined() ? at::index_select(of, 0, owners) : of;
  };
  LoraTable table = frozen_;
  for (std::size_t place = 0; place < table.places(); ++place) {
    for (Lora& lora : table.at(place)) {
      lora.a = rows(lora.a);
      lora.b = rows(lora.b);
    }
  }
  const bool wants_a = gradient.defined() && trains_a_, wants_b = gradient.defined() && trains_b_;
  const at::Tensor values = owners.defined() ? at::index_select(low_, 0, owners) : low_;
  std::int64_t offset = 0;
  for (std::size_t t = 0; t < spec_->targets.size(); ++t) {
    const AdapterTarget& target = spec_->targets[t];
    const std::int64_t rank = target.rank, in = target.in, out = target.out;
    const std::int64_t b_offset = offset + rank * in;
    Lora lora{.a = slot_of(values, offset, rank, in),
              .b = slot_of(values, b_offset, out, rank),
              .scale = spec_->scale(t),
              .da = wants_a ? slot_of(gradient, offset, rank, in) : at::Tensor(),
              .db = wants_b ? slot_of(gradient, b_offset, out, rank) : at::Tensor()};
    table.at(modules_[t]).push_back(std::move(lora));
    offset = b_offset + out * rank;
  }
  return table;
}

Result<at::Tensor> PackedTrainSession::run_pack(const Pack& pack, std::span<StepResult> results) {
  const PackRows layout = lay_out(pack);
  const auto count = static_cast<std::int64_t>(pack.rows.size());
  std::vector<float> weights;
  weights.reserve(layout.owners.size());
  for (const std::size_t owner : layout.owners) {
    const auto tokens = static_cast<double>(results[pack.rows[owner].client].tokens);
    weights.push_back(static_cast<float>(1.0 / tokens));
  }
  const at::Tensor gradient = trains_a_ && trains_b_
                                  ? at::empty({count, parameters_}, compute_.low())
                                  : at::zeros({count, parameters_}, compute_.low());
  const LoraTable loras = loras_of(pack, gradient);
  const PackedTokens tokens = packed_tokens(pack, layout, compute_);
  const at::Tensor rows = to_device(layout.rows, compute_);
  const at::AutoGradMode recording(true);
  const at::Tensor hidden = COPPICE_TRY(transformer_.hidden(tokens, loras));
  const at::Tensor flat = hidden.detach().view({-1, hidden.size(2)});
  const Loss loss =
      cross_entropy(at::index_select(flat, 0, rows), transformer_.head(), transformer_.head_cap(),
                    to_device(layout.targets, compute_), to_device(weights, compute_));
  at::Tensor dhidden = at::zeros_like(flat);
  dhidden.index_copy_(0, rows, loss.dhidden);
  hidden.backward(dhidden.view(hidden.sizes()));
  const at::Tensor nats = loss.nats.cpu();
  const float* const each = nats.const_data_ptr<float>();
  for (std::size_t i = 0; i < layout.owners.size(); ++i) {
    results[pack.rows[layout.owners[i]].client].loss += double{each[i]};
  }
  return gradient;
}

Result<PackedTrainSession::Gradients> PackedTrainSession::forward_backward(
    std::span<const Batch* const> batches) {
  Gradients to{.turns = {}, .values = {}, .results = std::vector<StepResult>(clients_)};
  std::vector<ClientSequences> sequences;
  std::vector<std::int64_t> turn_of(clients_);
  for (std::size_t client = 0; client < clients_; ++client) {
    if (batches[client] == nullptr) continue;
    const Batch& batch = *batches[client];
    COPPICE_TRY(check_batch(client, batch, transformer_.base().config()));
    turn_of[client] = static_cast<std::int64_t>(to.turns.size());
    to.turns.push_back({client, batch.learning_rate_factor});
    sequences.push_back({.client = client, .sequences = {}, .places = {}});
    for (std::size_t i = 0; i < batch.sequences.size(); ++i) {
      const std::uint64_t predicted = predicted_tokens(batch.sequences[i]);
      to.results[client].tokens += predicted;
      if (predicted == 0) continue;
      sequences.back().sequences.push_back(&batch.sequences[i]);
      sequences.back().places.push_back(i);
    }
  }
  low_ = values_.to(compute_.type);
  const std::vector<Pack> packs =
      make_packs(cut_rows(std::move(sequences), pack_tokens_), pack_tokens_, true);
  if (packs.size() > 1) {
    to.values =
        at::zeros({static_cast<std::int64_t>(to.turns.size()), parameters_}, compute_.full());
  }
  for (const Pack& pack : packs) {
    if (transformer_.stopped()) return stopped_error();
    const at::Tensor part = COPPICE_TRY(run_pack(pack, to.results));
    if (packs.size() == 1) {
      to.values = part.to(at::kFloat);
    } else {
      // A pack's clients have consecutive turns.
      to.values.narrow(0, turn_of[pack.rows[0].client], part.size(0)).add_(part);
    }
  }
  for (const PackOptimizer::Turn& turn : to.turns) {
    StepResult& result = to.results[turn.client];
    result.loss /= static_cast<double>(result.tokens);
  }
  return to;
}

void PackedTrainSession::settle_all(Gradients& gradients) {
  const std::vector<double> norms = optimizer_->prepare(gradients.turns, gradients.values);
  std::vector<PackOptimizer::Turn> settled;
  std::vector<std::int64_t> kept; // of the gradients' rows
  for (std::size_t i = 0; i < norms.size(); ++i) {
    StepResult& result = gradients.results[gradients.turns[i].client];
    result.gradient_norm = norms[i];
    if (!settle(result)) continue;
    settled.push_back(gradients.turns[i]);
    kept.push_back(static_cast<std::int64_t>(i));
  }
  if (settled.size() == norms.size()) return;
  gradients.turns = std::move(settled);
  gradients.values = at::index_select(gradients.values, 0, to_device(kept, compute_));
}

Result<std::vector<StepResult>> PackedTrainSession::step(std::span<const Batch> batches) {
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
    Gradients gradients = COPPICE_TRY(forward_backward(present));
    settle_all(gradients);
    if (!gradients.turns.empty()) {
      given_.clear();
      fetched_.reset();
      optimizer_->step(gradients.turns, gradients.values);
    }
    return std::move(gradients.results);
  });
}

Result<std::vector<Score>> PackedTrainSession::score(
    std::span<const std::span<const Sequence>> texts) {
  COPPICE_TRY(check_texts(texts, clients()));
  return guarded([&]() -> Result<std::vector<Score>> {
    std::vector<ClientSequences> wanted;
    std::size_t longest = 0;
    for (std::size_t client = 0; client < clients(); ++client) {
      ClientSequences to{.client = client, .sequences = {}, .places = {}};
      for (const Sequence& sequence : texts[client]) {
        COPPICE_TRY(check_sequence(sequence, transformer_.base().config()));
        if (predicted_tokens(sequence) == 0) continue;
        to.sequences.push_back(&sequence);
        to.places.push_back(0);
        longest = std::max(longest, sequence.tokens.size());
      }
      wanted.push_back(std::move(to));
    }
    std::vector<Score> scores(clients());
    low_ = values_.to(compute_.type);
    // Clients differ in how much they have: those with more take several rows, not all wider ones.
    const std::vector<Pack> packs = make_packs(cut_rows(std::move(wanted), 2 * longest),
                                               std::max(pack_tokens_, kScoringTokens), false);
    for (const Pack& pack : packs) {
      const PackScores each = COPPICE_TRY(score_pack(transformer_, pack, loras_of(pack, {})));
      for (std::size_t i = 0; i < each.layout.owners.size(); ++i) {
        scores[pack.rows[each.layout.owners[i]].client] += each.at(i);
      }
    }
    return scores;
  });
}

Result<void> PackedTrainSession::check_client(std::size_t client) const {
  if (client < clients()) return {};
  return invalid_argument(cat("there is no client ", client, " in this session"));
}

Result<TrainState> PackedTrainSession::state(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  return guarded([&]() -> Result<TrainState> {
    const PackOptimizer::ClientState& held =
        given_.insert_or_assign(client, optimizer_->state(client)).first->second;
    const auto span = [](const at::Tensor& of) {
      return std::span(of.const_data_ptr<float>(), static_cast<std::size_t>(of.numel()));
    };
    return TrainState{.values = span(held.values),
                      .first_moment = span(held.first),
                      .second_moment = span(held.second),
                      .steps = held.steps};
  });
}

Result<void> PackedTrainSession::restore(std::size_t client, const TrainState& state) {
  COPPICE_TRY(check_client(client));
  COPPICE_TRY(check_state(state, static_cast<std::size_t>(parameters_)));
  return guarded([&]() -> Result<void> {
    optimizer_->restore(client, state);
    given_.clear();
    fetched_.reset();
    return {};
  });
}

Result<Adapter> PackedTrainSession::gradient(std::size_t client, const Batch& batch) {
  COPPICE_TRY(check_client(client));
  return guarded([&]() -> Result<Adapter> {
    std::vector<const Batch*> one(clients());
    one[client] = &batch;
    const Gradients gradients = COPPICE_TRY(forward_backward(one));
    COPPICE_TRY(check_finite(gradients.results[client]));
    const at::Tensor here = gradients.values[0].cpu();
    Adapter result(spec_);
    std::copy_n(here.const_data_ptr<float>(), parameters_, result.values().begin());
    return result;
  });
}

// All clients' at once: a copy of each takes as long.
Result<void> PackedTrainSession::fetch() const {
  return guarded([&]() -> Result<void> {
    if (fetched_.defined()) return {};
    // From memory that stays where it is a GPU copies several times as fast.
    const at::Tensor here = at::empty(
        values_.sizes(), at::TensorOptions(at::kFloat).pinned_memory(compute_.device.is_cuda()));
    here.copy_(values_);
    fetched_ = here;
    return {};
  });
}

Result<std::span<const float>> PackedTrainSession::values(std::size_t client) const {
  COPPICE_TRY(check_client(client));
  COPPICE_TRY(fetch());
  const auto count = static_cast<std::size_t>(parameters_);
  return std::span(fetched_.const_data_ptr<float>() + client * count, count);
}

Result<Adapter> PackedTrainSession::adapter(std::size_t client) const {
  const std::span<const float> from = COPPICE_TRY(values(client));
  Adapter result(spec_);
  std::ranges::copy(from, result.values().begin());
  return result;
}

bool same_lists(std::span<const std::vector<AdapterUse>> lists) {
  const auto same = [](const AdapterUse& a, const AdapterUse& b) {
    return a.adapter == b.adapter && a.strength == b.strength;
  };
  return std::ranges::all_of(lists, [&](const std::vector<AdapterUse>& list) {
    return std::ranges::equal(list, lists[0], same);
  });
}

// A module's adapters of one list, one below the other: A (rank, in) and scaled B (out, rank).
struct FrozenFactors {
  std::vector<at::Tensor> a, b;
  std::int64_t rank = 0;
};

} // namespace

void add_frozen(LoraTable& table, const Transformer& transformer,
                std::span<const std::vector<AdapterUse>> lists) {
  const auto kept = same_lists(lists) ? lists.first(1) : lists;
  std::vector<std::vector<FrozenFactors>> places(table.places(),
                                                 std::vector<FrozenFactors>(kept.size()));
  for (std::size_t client = 0; client < kept.size(); ++client) {
    for (const AdapterUse& use : kept[client]) {
      const Adapter& adapter = *use.adapter;
      const auto indices = module_indices(adapter.spec(), transformer.base());
      for (std::size_t t = 0; t < adapter.targets(); ++t) {
        const AdapterTarget& target = adapter.spec().targets[t];
        const auto view = [](std::span<const float> values, std::int64_t rows,
                             std::int64_t columns) {
          return at::from_blob(const_cast<float*>(values.data()), {rows, columns}, at::kFloat);
        };
        FrozenFactors& factors = places[indices[t]][client];
        factors.a.push_back(view(adapter.a(t), target.rank, target.in));
        factors.b.push_back(view(adapter.b(t), target.out, target.rank) *
                            (use.strength * adapter.spec().scale(t)));
        factors.rank += target.rank;
      }
    }
  }
  const AdaptableModules modules = transformer.base().adaptable_modules();
  for (std::size_t place = 0; place < places.size(); ++place) {
    std::int64_t rank = 0;
    for (const FrozenFactors& factors : places[place]) rank = std::max(rank, factors.rank);
    if (rank == 0) continue;
    const auto count = static_cast<std::int64_t>(kept.size());
    const std::int64_t in = modules[place].in, out = modules[place].out;
    // Rows beyond a client's own rank are zero and add nothing.
    const at::Tensor a = at::zeros({count, rank, in}, at::kFloat);
    const at::Tensor b = at::zeros({count, out, rank}, at::kFloat);
    for (std::int64_t client = 0; client < count; ++client) {
      const FrozenFactors& factors = places[place][static_cast<std::size_t>(client)];
      std::int64_t at_rank = 0;
      for (std::size_t i = 0; i < factors.a.size(); ++i) {
        const std::int64_t own = factors.a[i].size(0);
        a[client].narrow(0, at_rank, own).copy_(factors.a[i]);
        b[client].narrow(1, at_rank, own).copy_(factors.b[i]);
        at_rank += own;
      }
    }
    const Compute& compute = transformer.compute();
    table.at(place).push_back(
        {.a = a.to(compute.low()), .b = b.to(compute.low()), .scale = 1, .da = {}, .db = {}});
  }
}

TrainingPlan plan_training_passes(const Transformer& transformer, std::uint64_t activation_bytes,
                                  std::size_t longest, std::size_t total) {
  const std::uint32_t layers = transformer.base().config().layers;
  const std::uint64_t token = transformer.activation_bytes_per_token();
  TrainingPlan plan{.layers = layers, .kept_layers = layers};
  plan.pass_tokens =
      std::clamp<std::uint64_t>(activation_bytes / token, longest, std::max(longest, total));
  plan.kept_layer_bytes = plan.pass_tokens * token / layers;
  plan.bytes = plan.pass_tokens * token;
  return plan;
}

Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes) {
  COPPICE_TRY(check_jobs(jobs, transformer.base()));
  return std::unique_ptr<TrainSession>(
      std::make_unique<PackedTrainSession>(transformer, std::move(jobs), activation_bytes));
}

} // namespace coppice::graph::packed
