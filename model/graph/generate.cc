// SPDX-License-Identifier: Apache-2.0
#include "model/graph/generate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "model/graph/sequences.h"
#include "model/input_checks.h"
#include "model/sampler.h"

namespace coppice::graph {
namespace {

constexpr std::size_t kPromptChunk = 512; // tokens of the prompt computed at once

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One sequence being written.
class Decoder {
 public:
  Decoder(Transformer& transformer, const GenerateRequest& request, std::int64_t capacity)
      : transformer_(transformer),
        adapters_(transformer.base().config(), 1),
        cache_(transformer.base().config(), capacity) {
    adapters_.add_frozen(transformer.base(), 0, request.adapters);
  }

  // Appends tokens; gives the logits (V) after the last.
  at::Tensor advance(std::span<const TokenId> tokens) {
    text_.insert(text_.end(), tokens.begin(), tokens.end());
    const auto length = static_cast<std::int64_t>(text_.size());
    // Keys in the cache are turned by the short factors: a text that grows longer begins anew.
    const std::int64_t limit = transformer_.base().config().rope.short_context;
    if (cache_.length() <= limit && length > limit) cache_.clear();
    const auto rest = std::span(text_).subspan(static_cast<std::size_t>(cache_.length()));
    at::Tensor hidden;
    for (std::size_t begin = 0; begin < rest.size(); begin += kPromptChunk) {
      TokenBatch batch(1);
      batch.add_part(0, rest.subspan(begin, std::min(kPromptChunk, rest.size() - begin)),
                     {.position = cache_.length(), .length = length});
      hidden = transformer_.hidden(batch, adapters_, &cache_);
    }
    const std::int64_t last = hidden.size(0) - 1;
    return transformer_.logits(transformer_.final_norm(hidden.narrow(0, last, 1)));
  }

 private:
  Transformer& transformer_;
  LoraStack adapters_;
  KvCache cache_;
  std::vector<TokenId> text_;
};

} // namespace

Result<GenerateResult> write_text(const BaseModel& base, const GenerateRequest& request,
                                  const BeginText& begin) {
  const ModelConfig& config = base.config();
  COPPICE_TRY(check_tokens(request.prompt, config));
  for (const AdapterUse& use : request.adapters) {
    COPPICE_TRY(check_fits(use.adapter->spec(), base));
  }
  Sampler sampler = COPPICE_TRY(Sampler::make(request.sampler));

  const at::NoGradGuard no_gradient;
  const std::size_t room = config.context - request.prompt.size();
  const std::size_t wanted = std::min<std::size_t>(request.max_tokens, room);
  GenerateResult result;
  result.stop = wanted < request.max_tokens ? GenerateStop::kContextFull : GenerateStop::kMaxTokens;
  const Advance advance = COPPICE_TRY(begin(request.prompt.size() + wanted));
  auto start = std::chrono::steady_clock::now();
  at::Tensor logits = COPPICE_TRY(advance(request.prompt));
  result.prefill_seconds = seconds_since(start);

  start = std::chrono::steady_clock::now();
  while (result.tokens.size() < wanted) {
    const TokenId token =
        sampler.sample({logits.const_data_ptr<float>(), static_cast<std::size_t>(logits.numel())});
    if (base.tokenizer().ends_generation(token) && !request.ignore_end_tokens) {
      result.stop = GenerateStop::kEndToken;
      break;
    }
    result.tokens.push_back(token);
    if (request.on_token && !request.on_token(token)) {
      result.stop = GenerateStop::kCaller;
      break;
    }
    if (result.tokens.size() < wanted) logits = COPPICE_TRY(advance({&token, 1}));
  }
  result.decode_seconds = seconds_since(start);
  return result;
}

Result<GenerateResult> generate(Transformer& transformer, const GenerateRequest& request) {
  return write_text(transformer.base(), request, [&](std::size_t capacity) -> Result<Advance> {
    const auto decoder =
        std::make_shared<Decoder>(transformer, request, static_cast<std::int64_t>(capacity));
    return Advance([decoder](std::span<const TokenId> tokens) -> Result<at::Tensor> {
      return decoder->advance(tokens);
    });
  });
}

} // namespace coppice::graph
