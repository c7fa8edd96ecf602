// SPDX-License-Identifier: Apache-2.0
#include "model/native/generate.h"

#include <algorithm>
#include <chrono>

#include "model/input_checks.h"
#include "model/sampler.h"

namespace coppice::native {
namespace {

constexpr std::size_t kPromptChunk = 512; // tokens of the prompt computed at once

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One sequence being written.
class Decoder {
 public:
  Decoder(Transformer& transformer, const ModelLora& lora, std::size_t capacity)
      : transformer_(transformer),
        lora_(lora),
        cache_(transformer.config(), transformer.kernels(), capacity),
        logits_(transformer.head().weight.rows()) {
    transformer.prepare_positions(capacity);
  }

  // Appends tokens; gives the logits (V) after the last.
  std::span<const float> advance(std::span<const TokenId> tokens) {
    const std::size_t width = transformer_.config().width;
    FloatRows x;
    for (std::size_t begin = 0; begin < tokens.size(); begin += kPromptChunk) {
      const auto chunk = tokens.subspan(begin, std::min(kPromptChunk, tokens.size() - begin));
      PassShape pass;
      pass.add(chunk.size(), cache_.length());
      x = float_rows(x_, chunk.size(), width);
      transformer_.embed(chunk, x);
      transformer_.forward(pass, lora_, x, &cache_);
    }
    const std::size_t last = x.rows - 1;
    const ElementRows normed = element_rows(transformer_.kernels(), normed_, 1, width);
    transformer_.final_norm(x, {&last, 1}, normed, nullptr);
    output_logits(transformer_.pool(), transformer_.kernels(), transformer_.head(), normed,
                  logits_.data());
    return logits_;
  }

 private:
  Transformer& transformer_;
  const ModelLora& lora_;
  KvCache cache_;
  Buffer x_, normed_;
  std::vector<float> logits_;
};

} // namespace

Result<GenerateResult> generate(Transformer& transformer, const GenerateRequest& request) {
  const ModelConfig& config = transformer.config();
  COPPICE_TRY(check_tokens(request.prompt, config));
  ModelLora lora = transformer.no_adapters();
  for (const AdapterUse& use : request.adapters) {
    COPPICE_TRY(check_fits(use.adapter->spec(), transformer.base()));
    lora.add(use);
  }
  lora.prepare(transformer.kernels(), transformer.layers());
  Sampler sampler = COPPICE_TRY(Sampler::make(request.sampler));

  const std::size_t room = config.context - request.prompt.size();
  const std::size_t wanted = std::min<std::size_t>(request.max_tokens, room);
  GenerateResult result;
  result.stop = wanted < request.max_tokens ? GenerateStop::kContextFull : GenerateStop::kMaxTokens;
  Decoder decoder(transformer, lora, request.prompt.size() + wanted);
  auto start = std::chrono::steady_clock::now();
  std::span<const float> logits = decoder.advance(request.prompt);
  result.prefill_seconds = seconds_since(start);

  start = std::chrono::steady_clock::now();
  while (result.tokens.size() < wanted) {
    const TokenId token = sampler.sample(logits);
    if (transformer.base().tokenizer().ends_generation(token)) {
      result.stop = GenerateStop::kEndToken;
      break;
    }
    result.tokens.push_back(token);
    if (request.on_token && !request.on_token(token)) {
      result.stop = GenerateStop::kCaller;
      break;
    }
    if (result.tokens.size() < wanted) logits = decoder.advance({&token, 1});
  }
  result.decode_seconds = seconds_since(start);
  return result;
}

} // namespace coppice::native
