// SPDX-License-Identifier: Apache-2.0
// What a model folder's small files may say: config.json, the model of tokenizer.json, and
// tokenizer.model. Whatever is accepted stays within the rows that were allowed.
#include "base/check.h"
#include "model/import_config.h"
#include "model/import_vocabulary.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

constexpr std::size_t kRows = 300;
// A piece of two bytes takes 24 in a vector that doubles; JSON takes 16 (json_fuzz.cc); the rows'
// texts, scores and types come on top.
constexpr std::size_t kBytesAFileByte = 32;
constexpr std::size_t kRowBytes = 64 * kRows;

void check(const Result<ImportedVocabulary>& vocabulary) {
  if (!vocabulary) return;
  COPPICE_CHECK(vocabulary->tokens.size() <= kRows);
  COPPICE_CHECK(vocabulary->types.size() == vocabulary->tokens.size());
  for (const auto& [text, id] : vocabulary->ids) COPPICE_CHECK(id < vocabulary->tokens.size());
}

Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {
      text(R"({"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "hidden_act":)"
           R"( "silu", "intermediate_size": 64, "num_attention_heads": 4, "vocab_size": 300,)"
           R"( "max_position_embeddings": 64, "rope_scaling": {"rope_type": "llama3"}})"),
      text(R"({"model_type": "gemma3", "text_config": {"hidden_size": 32, "num_hidden_layers": 6,)"
           R"( "intermediate_size": 64, "sliding_window": 8, "layer_types": ["full_attention"]}})"),
      text(R"({"model_type": "phi3", "rope_parameters": {"rope_type": "longrope", "long_factor":)"
           R"( [1, 2], "short_factor": [1, 1.5]}, "head_dim": 4, "hidden_size": 8,)"
           R"( "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16,)"
           R"( "hidden_act": "silu", "vocab_size": 9, "max_position_embeddings": 99})"),
      text(
          R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<0x0A>": 3}, "merges": ["a b"]})"),
      // Pieces "a" (score 1, user-defined) and "b"; BPE; no prefix; no changes of white space.
      text(std::string_view("\x0a\x0a\x0a\x01"
                            "a\x15\0\0\x80\x3f\x18\x04\x0a\x03\x0a\x01"
                            "b"
                            "\x12\x02\x18\x02\x1a\x04\x18\0\x20\0",
                            31))};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const ByteSpan bytes(data, size);
  const AllocationLimit limit(kBytesAFileByte * size + kRowBytes + AllocationLimit::kSlack);
  if (const auto model = parse_sentencepiece_model(bytes, "tokenizer.model")) {
    check(vocabulary_of_pieces(*model, kRows));
  }
  const auto json = parse_json(bytes);
  if (!json || !json->is_object()) return 0;
  for (const bool pieces : {false, true}) check(vocabulary_of_json(*json, pieces, kRows));
  if (const auto plan = plan_import(*json, "model")) {
    COPPICE_CHECK(plan->layers > 0 && plan->heads > 0 && plan->head_width > 0 && plan->rows > 0);
  }
  return 0;
}
