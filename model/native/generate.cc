// SPDX-License-Identifier: Apache-2.0
#include "model/native/generate.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "model/input_checks.h"
#include "model/native/decode.h"
#include "model/sampler.h"

namespace coppice::native {
namespace {

constexpr std::size_t kPromptChunk = 512; // tokens of the prompt computed at once

using Moment = std::chrono::steady_clock::time_point;
Moment now() { return std::chrono::steady_clock::now(); }
double seconds_since(Moment start) { return std::chrono::duration<double>(now() - start).count(); }

// What of a text the cache hasn't yet through all layers, some hundreds of tokens at a time; the
// logits (V) after the last.
std::vector<float> read_text(Transformer& transformer, const ModelLora& lora, KvCache& cache,
                             std::span<const TokenId> text, bool int8_activations) {
  const auto tokens = text.subspan(cache.length());
  const ProductKernels& kernels = transformer.kernels().fast;
  const std::size_t width = transformer.config().width;
  Buffer x_memory, normed_memory;
  FloatRows x;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kPromptChunk) {
    const auto chunk = tokens.subspan(begin, std::min(kPromptChunk, tokens.size() - begin));
    const PassShape pass{.sequences = {{.begin = 0,
                                        .count = chunk.size(),
                                        .offset = cache.length(),
                                        .text = text.size()}},
                         .tokens = chunk.size(),
                         .round_tokens = int8_activations && transformer.config().token_scales};
    x = float_rows(x_memory, chunk.size(), width);
    transformer.embed(chunk, x);
    transformer.forward(pass, kernels, lora, x, &cache);
  }
  const std::size_t last = x.rows - 1;
  const ElementRows normed = element_rows(kernels, normed_memory, 1, width);
  transformer.final_norm(x, {&last, 1}, kernels, normed, nullptr);
  std::vector<float> logits(transformer.head().weight.rows());
  output_logits(transformer.pool(), kernels, transformer.head(), normed,
                {logits.data(), 1, logits.size(), logits.size()});
  return logits;
}

// One text being written: prompt read, tokens chosen, ends noticed. Who holds it decodes.
class Writing {
 public:
  // The cache has a part of the prompt or nothing, and is this text's alone from now on.
  Writing(Transformer& transformer, GenerateRequest request, Sampler sampler,
          std::shared_ptr<const ModelLora> lora, KvCache& cache)
      : transformer_(transformer),
        request_(std::move(request)),
        sampler_(sampler),
        lora_(std::move(lora)),
        cache_(cache),
        text_(request_.prompt) {
    const std::size_t room = transformer.config().context - text_.size();
    wanted_ = std::min<std::size_t>(request_.max_tokens, room);
    if (wanted_ < request_.max_tokens) result_.stop = GenerateStop::kContextFull;
    transformer.prepare_positions(text_.size() + wanted_);
    const Moment start = now();
    cache_.reserve(text_.size() + wanted_);
    read();
    result_.prefill_seconds = seconds_since(start);
    decoding_ = now();
  }

  // Takes the next token by the logits; false where the text ends.
  bool choose() {
    if (result_.tokens.size() >= wanted_) return false;
    const TokenId token = sampler_.sample(logits_);
    if (transformer_.base().tokenizer().ends_generation(token) && !request_.ignore_end_tokens) {
      result_.stop = GenerateStop::kEndToken;
      return false;
    }
    result_.tokens.push_back(token);
    if (request_.on_token && !request_.on_token(token)) {
      result_.stop = GenerateStop::kCaller;
      return false;
    }
    if (result_.tokens.size() == wanted_) return false;
    text_.push_back(token);
    return true;
  }

  // What is to be decoded for the next logits; nothing where the text was read again instead.
  std::optional<DecodeRow> next() {
    if (text_.size() != std::size_t{transformer_.config().rope.short_context} + 1) {
      return DecodeRow{.token = text_.back(), .lora = lora_.get(), .cache = &cache_};
    }
    // From here on LongRoPE's other factors turn every position: what was kept is of no use.
    cache_.truncate(0);
    read();
    return std::nullopt;
  }
  void take_logits(std::span<const float> logits) { logits_ = logits; } // valid until choose()

  GenerateResult finish() {
    result_.decode_seconds = seconds_since(decoding_);
    text_.resize(cache_.length());
    return std::move(result_);
  }
  // After finish(): what the cache holds.
  std::vector<TokenId> take_text() { return std::move(text_); }
  const GenerateRequest& request() const { return request_; }
  const std::shared_ptr<const ModelLora>& lora() const { return lora_; }

 private:
  void read() {
    own_logits_ = read_text(transformer_, *lora_, cache_, text_, request_.int8_activations);
    logits_ = own_logits_;
  }

  Transformer& transformer_;
  GenerateRequest request_;
  Sampler sampler_;
  std::shared_ptr<const ModelLora> lora_;
  KvCache& cache_;
  std::vector<TokenId> text_; // prompt and what was chosen
  std::size_t wanted_ = 0;
  std::vector<float> own_logits_;
  std::span<const float> logits_; // those, or the decoder's
  GenerateResult result_;
  Moment decoding_;
};

Result<std::shared_ptr<const ModelLora>> shared_lora(const Transformer& transformer,
                                                     std::span<const AdapterUse> adapters) {
  return std::make_shared<const ModelLora>(
      COPPICE_TRY(transformer.adapted(adapters, transformer.kernels().fast)));
}

bool same_list(std::span<const AdapterUse> a, std::span<const AdapterUse> b) {
  return std::ranges::equal(a, b, [](const AdapterUse& left, const AdapterUse& right) {
    return left.adapter == right.adapter && left.strength == right.strength;
  });
}

class NativeGeneration final : public GenerationSession {
 public:
  NativeGeneration(Transformer& transformer, CpuLevel level, BlockType cache)
      : transformer_(transformer), level_(level), cache_type_(cache) {}

  Result<std::size_t> add(GenerateRequest request) override {
    COPPICE_TRY(check_tokens(request.prompt, transformer_.config()));
    Sampler sampler = COPPICE_TRY(Sampler::make(request.sampler));
    auto lora = COPPICE_TRY(lora_for(request.adapters));
    texts_.push_back(std::make_unique<Text>(transformer_, cache_type_, added_, std::move(request),
                                            sampler, std::move(lora)));
    return added_++;
  }

  Result<std::vector<Ended>> step() override {
    std::vector<Ended> ended;
    for (auto& text : texts_) {
      if (text->writing.choose()) continue;
      ended.push_back({.number = text->number, .result = text->writing.finish()});
      text.reset();
    }
    std::erase(texts_, nullptr);
    decode(true);
    decode(false);
    return ended;
  }

  std::size_t texts() const override { return texts_.size(); }

 private:
  struct Text {
    Text(Transformer& transformer, BlockType type, std::size_t its_number, GenerateRequest request,
         Sampler sampler, std::shared_ptr<const ModelLora> lora)
        : number(its_number),
          cache(transformer.config(), type),
          writing(transformer, std::move(request), sampler, std::move(lora), cache) {}
    std::size_t number;
    KvCache cache;
    Writing writing;
  };

  // That of a text under the same list, or a new one.
  Result<std::shared_ptr<const ModelLora>> lora_for(std::span<const AdapterUse> adapters) const {
    for (const auto& text : texts_) {
      if (same_list(text->writing.request().adapters, adapters)) return text->writing.lora();
    }
    return shared_lora(transformer_, adapters);
  }

  // The texts whose activations are rounded to int8, or the others, which another decoder takes.
  void decode(bool int8) {
    std::vector<DecodeRow> rows;
    std::vector<Writing*> writings;
    for (const auto& text : texts_) {
      if (text->writing.request().int8_activations != int8) continue;
      const auto row = text->writing.next();
      if (!row) continue;
      rows.push_back(*row);
      writings.push_back(&text->writing);
    }
    if (rows.empty()) return;
    auto& decoder = decoders_[int8 ? 1 : 0];
    if (!decoder) decoder.emplace(transformer_, level_, int8);
    const FloatRows logits = decoder->advance(rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      writings[i]->take_logits({logits.row(i), logits.columns});
    }
  }

  Transformer& transformer_;
  CpuLevel level_;
  BlockType cache_type_;
  std::size_t added_ = 0;
  std::vector<std::unique_ptr<Text>> texts_;
  std::array<std::optional<TokenDecoder>, 2> decoders_;
};

} // namespace

Result<GenerateResult> generate(Transformer& transformer, CpuLevel level, TextCache& kept,
                                const GenerateRequest& request) {
  COPPICE_TRY(check_tokens(request.prompt, transformer.config()));
  auto lora = COPPICE_TRY(shared_lora(transformer, request.adapters));
  Sampler sampler = COPPICE_TRY(Sampler::make(request.sampler));
  KvCache& cache = kept.cache_for(transformer.config(), request.adapters, request.prompt);
  Writing writing(transformer, request, sampler, std::move(lora), cache);
  TokenDecoder decoder(transformer, level, request.int8_activations);
  while (writing.choose()) {
    const auto row = writing.next();
    if (!row) continue;
    const FloatRows logits = decoder.advance({&*row, 1});
    writing.take_logits({logits.row(0), logits.columns});
  }
  GenerateResult result = writing.finish();
  kept.keep(writing.take_text());
  return result;
}

std::unique_ptr<GenerationSession> start_generation(Transformer& transformer, CpuLevel level,
                                                    BlockType cache) {
  return std::make_unique<NativeGeneration>(transformer, level, cache);
}

} // namespace coppice::native
