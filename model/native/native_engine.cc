// SPDX-License-Identifier: Apache-2.0
#include "model/native/native_engine.h"

#include <algorithm>

#include "base/text.h"
#include "model/input_checks.h"
#include "model/native/cpu_level.h"
#include "model/native/generate.h"
#include "model/native/memory_plan.h"
#include "model/native/score.h"
#include "model/native/train_session.h"

namespace coppice {
namespace native {
namespace {

constexpr std::size_t kMaxLogitRows = 4096;

class NativeEngine final : public Engine {
 public:
  NativeEngine(std::shared_ptr<const BaseModel> base, const EngineOptions& options, CpuLevel level,
               const EngineKernels& kernels)
      : options_(options),
        level_(level),
        transformer_(std::move(base), kernels, options.threads),
        text_cache_(options.precision == EnginePrecision::kFloat32 ? BlockType::kF32
                                                                   : options.kv_cache) {
    transformer_.keep_panels(options.kept_weight_bytes);
  }

  EngineInfo info() const override {
    return {.name = "native",
            .device = "cpu",
            .instruction_level =
                cat(cpu_level_name(level_),
                    transformer_.kernels().fast.precision == Precision::kBfloat16 ? "-bf16" : "")};
  }
  const BaseModel& base() const override { return transformer_.base(); }
  Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                   std::span<const Sequence> sequences) override {
    return score_sequences(transformer_, adapters, sequences, round_tokens());
  }
  Result<std::vector<float>> logits(std::span<const AdapterUse> adapters,
                                    std::span<const TokenId> tokens) override;
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) override {
    return start_train_session(transformer_, std::move(jobs), options_.activation_bytes,
                               round_tokens());
  }
  Result<TrainingPlan> plan_training(const AdapterSpec& spec, std::size_t longest,
                                     std::size_t total) const override;
  Result<GenerateResult> generate(const GenerateRequest& request) override {
    return native::generate(transformer_, level_, text_cache_, request);
  }
  Result<std::unique_ptr<GenerationSession>> start_generation() override {
    return native::start_generation(transformer_, level_, text_cache_.type());
  }
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) override {
    return transformer_.pool().stop_when(stop);
  }

 private:
  bool round_tokens() const { return options_.trained_rounding && base().config().token_scales; }

  EngineOptions options_;
  CpuLevel level_;
  Transformer transformer_;
  TextCache text_cache_;
};

Result<TrainingPlan> NativeEngine::plan_training(const AdapterSpec& spec, std::size_t longest,
                                                 std::size_t total) const {
  COPPICE_TRY(check_fits(spec, base())); // before memory is taken for it
  const Adapter zeros(std::make_shared<const AdapterSpec>(spec));
  const AdapterUse use{.adapter = &zeros};
  ModelLora lora = transformer_.no_adapters();
  lora.add(use);
  return plan_memory(transformer_.config(), transformer_.kernels(),
                     {.threads = options_.threads,
                      .longest = longest,
                      .total = total,
                      .lora_width = lora.widest_group(transformer_.kernels().precise),
                      .budget = options_.activation_bytes});
}

Result<std::vector<float>> NativeEngine::logits(std::span<const AdapterUse> adapters,
                                                std::span<const TokenId> tokens) {
  COPPICE_TRY(check_tokens(tokens, base().config()));
  if (tokens.size() > kMaxLogitRows) {
    return Error{ErrorCode::kTooLarge, cat("logits of ", tokens.size(), " tokens were asked for, ",
                                           kMaxLogitRows, " is the limit; use score()")};
  }
  const ModelLora lora =
      COPPICE_TRY(transformer_.adapted(adapters, transformer_.kernels().precise));
  transformer_.prepare_positions(tokens.size());
  PassShape pass;
  pass.round_tokens = round_tokens();
  pass.add(tokens.size());
  Buffer x_memory, normed_memory;
  const std::size_t width = base().config().width;
  const FloatRows x = float_rows(x_memory, tokens.size(), width);
  transformer_.embed(tokens, x);
  transformer_.forward(pass, transformer_.kernels().precise, lora, x, nullptr);
  std::vector<std::size_t> rows(tokens.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  const ElementRows normed =
      element_rows(transformer_.kernels().precise, normed_memory, rows.size(), width);
  transformer_.final_norm(x, rows, transformer_.kernels().precise, normed, nullptr);
  const std::size_t vocabulary = transformer_.head().weight.rows();
  std::vector<float> values(tokens.size() * vocabulary);
  output_logits(transformer_.pool(), transformer_.kernels().precise, transformer_.head(), normed,
                {values.data(), rows.size(), vocabulary, vocabulary});
  return values;
}

} // namespace
} // namespace native

Result<std::unique_ptr<Engine>> open_native_engine(std::shared_ptr<const BaseModel> base,
                                                   const EngineOptions& options) {
  using namespace native;
  if (options.threads == 0) {
    return Error{ErrorCode::kInvalidArgument, "the engine needs at least one thread"};
  }
  if (options.device != "cpu") {
    return Error{ErrorCode::kUnsupported, cat("the native engine computes on the CPU, not on ",
                                              options.device, "; take the engine graph")};
  }
  const CpuLevel level = COPPICE_TRY(choose_cpu_level());
  const auto kernels = [&](Precision precision) -> const ProductKernels& {
    const bool exact = options.precision == EnginePrecision::kFloat32;
    return product_kernels(level, exact ? Precision::kFloat32 : precision);
  };
  const bool quick = options.precision == EnginePrecision::kQuick;
  return std::unique_ptr<Engine>(std::make_unique<NativeEngine>(
      std::move(base), options, level,
      EngineKernels{.precise = kernels(quick ? Precision::kBfloat16 : Precision::kSplit),
                    .fast = kernels(Precision::kBfloat16)}));
}

} // namespace coppice
