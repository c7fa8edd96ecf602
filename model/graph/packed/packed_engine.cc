// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/packed_engine.h"

#include <ATen/core/grad_mode.h>

#include "base/text.h"
#include "model/graph/generate.h"
#include "model/graph/guard.h"
#include "model/graph/packed/score.h"
#include "model/graph/packed/train_session.h"
#include "model/input_checks.h"

namespace coppice::graph::packed {
namespace {

constexpr std::size_t kMaxLogitRows = 4096;

class PackedEngine final : public Engine {
 public:
  PackedEngine(std::shared_ptr<const BaseModel> base, const EngineOptions& options,
               const Compute& compute)
      : options_(options), transformer_(std::move(base), compute) {}

  EngineInfo info() const override {
    return {.name = "graph",
            .device = options_.device,
            .instruction_level = transformer_.compute().level,
            .packs = true};
  }
  const BaseModel& base() const override { return transformer_.base(); }
  Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                   std::span<const Sequence> sequences) override;
  Result<std::vector<float>> logits(std::span<const AdapterUse> adapters,
                                    std::span<const TokenId> tokens) override;
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) override {
    return guarded([&] {
      return packed::start_train_session(transformer_, std::move(jobs), options_.activation_bytes);
    });
  }
  Result<TrainingPlan> plan_training(const AdapterSpec& spec, std::size_t longest,
                                     std::size_t total) const override {
    COPPICE_TRY(check_fits(spec, transformer_.base()));
    return packed::plan_training_passes(transformer_, options_.activation_bytes, longest, total);
  }
  Result<GenerateResult> generate(const GenerateRequest& request) override;
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) override {
    return transformer_.stop_when(stop);
  }

 private:
  // (n, V) float32 on the CPU of the last n tokens.
  Result<at::Tensor> last_logits(std::span<const TokenId> tokens, const LoraTable& table,
                                 std::int64_t last);
  Result<LoraTable> table_of(std::span<const AdapterUse> adapters) const {
    for (const AdapterUse& use : adapters) {
      COPPICE_TRY(check_fits(use.adapter->spec(), transformer_.base()));
    }
    LoraTable table(transformer_.base().config());
    const std::vector<AdapterUse> list(adapters.begin(), adapters.end());
    add_frozen(table, transformer_, {&list, 1});
    return table;
  }

  EngineOptions options_;
  Transformer transformer_;
};

Result<std::vector<Score>> PackedEngine::score(std::span<const AdapterUse> adapters,
                                               std::span<const Sequence> sequences) {
  return guarded([&]() -> Result<std::vector<Score>> {
    ClientSequences all;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      COPPICE_TRY(check_sequence(sequences[i], transformer_.base().config()));
      if (predicted_tokens(sequences[i]) == 0) continue;
      all.sequences.push_back(&sequences[i]);
      all.places.push_back(i);
    }
    const LoraTable table = COPPICE_TRY(table_of(adapters));
    std::vector<Score> scores(sequences.size());
    for (const Pack& pack :
         make_packs(cut_rows({std::move(all)}, kScoringTokens), kScoringTokens, true)) {
      const PackScores each = COPPICE_TRY(score_pack(transformer_, pack, table));
      for (std::size_t i = 0; i < each.layout.places.size(); ++i) {
        scores[each.layout.places[i]] += each.at(i);
      }
    }
    return scores;
  });
}

Result<std::vector<float>> PackedEngine::logits(std::span<const AdapterUse> adapters,
                                                std::span<const TokenId> tokens) {
  return guarded([&]() -> Result<std::vector<float>> {
    COPPICE_TRY(check_tokens(tokens, transformer_.base().config()));
    if (tokens.size() > kMaxLogitRows) {
      return Error{ErrorCode::kTooLarge,
                   cat("logits of ", tokens.size(), " tokens were asked for, ", kMaxLogitRows,
                       " is the limit; use score()")};
    }
    const LoraTable table = COPPICE_TRY(table_of(adapters));
    const at::NoGradGuard no_gradient;
    const at::Tensor values =
        COPPICE_TRY(last_logits(tokens, table, static_cast<std::int64_t>(tokens.size())));
    const float* const data = values.const_data_ptr<float>();
    return std::vector<float>(data, data + values.numel());
  });
}

Result<at::Tensor> PackedEngine::last_logits(std::span<const TokenId> tokens,
                                             const LoraTable& table, std::int64_t last) {
  const std::vector<std::int64_t> ids(tokens.begin(), tokens.end());
  const auto count = static_cast<std::int64_t>(ids.size());
  const PackedTokens packed{.ids = to_device(ids, transformer_.compute()).view({1, count}),
                            .sequence = count};
  const at::Tensor hidden = COPPICE_TRY(transformer_.hidden(packed, table));
  return packed::logits(hidden[0].narrow(0, count - last, last), transformer_.head(),
                        transformer_.head_cap())
      .cpu()
      .contiguous();
}

// Made for scoring many texts, not for writing one: each token computes the whole text again.
Result<GenerateResult> PackedEngine::generate(const GenerateRequest& request) {
  return guarded([&] {
    return write_text(base(), request, [&](std::size_t /*capacity*/) -> Result<Advance> {
      const auto table = std::make_shared<LoraTable>(COPPICE_TRY(table_of(request.adapters)));
      const auto text = std::make_shared<std::vector<TokenId>>();
      return Advance([this, table, text](std::span<const TokenId> tokens) {
        text->insert(text->end(), tokens.begin(), tokens.end());
        return last_logits(*text, *table, 1);
      });
    });
  });
}

} // namespace

Result<std::unique_ptr<Engine>> make_packed_engine(std::shared_ptr<const BaseModel> base,
                                                   const EngineOptions& options) {
  return guarded([&]() -> Result<std::unique_ptr<Engine>> {
    if (options.threads == 0) {
      return Error{ErrorCode::kInvalidArgument, "the engine needs at least one thread"};
    }
    const Compute compute =
        COPPICE_TRY(choose_compute(options.device, options.precision == EnginePrecision::kFloat32));
    return std::unique_ptr<Engine>(
        std::make_unique<PackedEngine>(std::move(base), options, compute));
  });
}

} // namespace coppice::graph::packed
