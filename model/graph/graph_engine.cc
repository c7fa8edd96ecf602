// SPDX-License-Identifier: Apache-2.0
#include "model/graph/graph_engine.h"

#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Logging.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "model/graph/generate.h"
#include "model/graph/guard.h"
#include "model/graph/packed/packed_engine.h"
#include "model/graph/score.h"
#include "model/graph/train_session.h"
#include "model/input_checks.h"

namespace coppice::graph {
namespace {

constexpr std::size_t kMaxLogitRows = 4096;

class GraphEngine final : public Engine {
 public:
  GraphEngine(std::shared_ptr<const BaseModel> base, const EngineOptions& options)
      : base_(std::move(base)), options_(options), transformer_(base_, options.threads) {}

  EngineInfo info() const override;
  const BaseModel& base() const override { return *base_; }
  Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                   std::span<const Sequence> sequences) override {
    return guarded([&] { return score_sequences(transformer_, adapters, sequences); });
  }
  Result<std::vector<float>> logits(std::span<const AdapterUse> adapters,
                                    std::span<const TokenId> tokens) override;
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) override {
    return guarded([&] {
      return start_train_session(transformer_, std::move(jobs), options_.activation_bytes);
    });
  }
  Result<TrainingPlan> plan_training(const AdapterSpec& spec, std::size_t longest,
                                     std::size_t total) const override {
    COPPICE_TRY(check_fits(spec, *base_));
    return plan_training_passes(base_->config(), options_.activation_bytes, longest, total);
  }
  Result<GenerateResult> generate(const GenerateRequest& request) override {
    return guarded([&] { return graph::generate(transformer_, request); });
  }
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) override {
    return transformer_.stop_when(stop);
  }

 private:
  std::shared_ptr<const BaseModel> base_;
  EngineOptions options_;
  Transformer transformer_;
};

EngineInfo GraphEngine::info() const {
  return {.name = "graph", .device = "cpu", .instruction_level = cpu_capability()};
}

Result<std::vector<float>> GraphEngine::logits(std::span<const AdapterUse> adapters,
                                               std::span<const TokenId> tokens) {
  return guarded([&]() -> Result<std::vector<float>> {
    const LoraStack adapted = COPPICE_TRY(adapted_by(adapters, *base_));
    COPPICE_TRY(check_tokens(tokens, base_->config()));
    if (tokens.size() > kMaxLogitRows) {
      return Error{ErrorCode::kTooLarge,
                   cat("logits of ", tokens.size(), " tokens were asked for, ", kMaxLogitRows,
                       " is the limit; use score()")};
    }
    const at::NoGradGuard no_gradient;
    TokenBatch batch(1);
    batch.add(0, tokens);
    const at::Tensor hidden = transformer_.hidden(batch, adapted);
    const at::Tensor logits = transformer_.logits(transformer_.final_norm(hidden));
    const float* values = logits.const_data_ptr<float>();
    return std::vector<float>(values, values + logits.numel());
  });
}

} // namespace

std::string cpu_capability() {
  std::string level = at::get_cpu_capability();
  std::transform(level.begin(), level.end(), level.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return level;
}

Result<std::unique_ptr<Engine>> make_graph_engine(std::shared_ptr<const BaseModel> base,
                                                  const EngineOptions& options) {
  if (options.threads == 0) {
    return Error{ErrorCode::kInvalidArgument, "the engine needs at least one thread"};
  }
  if (options.device != "cpu") return packed::make_packed_engine(std::move(base), options);
  return guarded([&]() -> Result<std::unique_ptr<Engine>> {
    return std::unique_ptr<Engine>(std::make_unique<GraphEngine>(std::move(base), options));
  });
}

} // namespace coppice::graph
