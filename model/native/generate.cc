// SPDX-License-Identifier: Apache-2.0
#include "model/native/generate.h"

#include <algorithm>
#include <chrono>

#include "model/input_checks.h"
#include "model/native/decode.h"
#include "model/sampler.h"

namespace coppice::native {
namespace {

constexpr std::size_t kPromptChunk = 512; // tokens of the prompt computed at once

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What of a text the cache hasn't yet through all layers, some hundreds of tokens at a time; the
// logits (V) after the last.
std::vector<float> read_text(Transformer& transformer, const ModelLora& lora, KvCache& cache,
                             std::span<const TokenId> text) {
  const auto tokens = text.subspan(cache.length());
  const std::size_t width = transformer.config().width;
  Buffer x_memory, normed_memory;
  FloatRows x;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kPromptChunk) {
    const auto chunk = tokens.subspan(begin, std::min(kPromptChunk, tokens.size() - begin));
    const PassShape pass{.sequences = {{.begin = 0,
                                        .count = chunk.size(),
                                        .offset = cache.length(),
                                        .text = text.size()}},
                         .tokens = chunk.size()};
    x = float_rows(x_memory, chunk.size(), width);
    transformer.embed(chunk, x);
    transformer.forward(pass, lora, x, &cache);
  }
  const std::size_t last = x.rows - 1;
  const ElementRows normed = element_rows(transformer.kernels(), normed_memory, 1, width);
  transformer.final_norm(x, {&last, 1}, normed, nullptr);
  std::vector<float> logits(transformer.head().weight.rows());
  output_logits(transformer.pool(), transformer.kernels(), transformer.head(), normed,
                logits.data());
  return logits;
}

} // namespace

Result<GenerateResult> generate(Transformer& transformer, CpuLevel level, TextCache& kept,
                                const GenerateRequest& request) {
  const ModelConfig& config = transformer.config();
  COPPICE_TRY(check_tokens(request.prompt, config));
  const ModelLora lora = COPPICE_TRY(transformer.adapted(request.adapters));
  Sampler sampler = COPPICE_TRY(Sampler::make(request.sampler));

  const std::size_t room = config.context - request.prompt.size();
  const std::size_t wanted = std::min<std::size_t>(request.max_tokens, room);
  GenerateResult result;
  result.stop = wanted < request.max_tokens ? GenerateStop::kContextFull : GenerateStop::kMaxTokens;
  const std::size_t capacity = request.prompt.size() + wanted;
  transformer.prepare_positions(capacity);
  auto start = std::chrono::steady_clock::now();
  KvCache& cache = kept.cache_for(config, request.adapters, request.prompt);
  cache.reserve(capacity);
  std::vector<TokenId> text = request.prompt;
  std::vector<float> again = read_text(transformer, lora, cache, text);
  std::span<const float> logits = again;
  result.prefill_seconds = seconds_since(start);

  TokenDecoder decoder(transformer, lora, cache, level, request.int8_activations);
  start = std::chrono::steady_clock::now();
  while (result.tokens.size() < wanted) {
    const TokenId token = sampler.sample(logits);
    if (transformer.base().tokenizer().ends_generation(token) && !request.ignore_end_tokens) {
      result.stop = GenerateStop::kEndToken;
      break;
    }
    result.tokens.push_back(token);
    if (request.on_token && !request.on_token(token)) {
      result.stop = GenerateStop::kCaller;
      break;
    }
    if (result.tokens.size() == wanted) break;
    text.push_back(token);
    if (text.size() == std::size_t{config.rope.short_context} + 1) {
      // From here on LongRoPE's other factors turn every position: what was kept is of no use.
      cache.truncate(0);
      again = read_text(transformer, lora, cache, text);
      logits = again;
    } else {
      logits = decoder.advance(token);
    }
  }
  result.decode_seconds = seconds_since(start);
  text.resize(cache.length());
  kept.keep(std::move(text));
  return result;
}

} // namespace coppice::native
