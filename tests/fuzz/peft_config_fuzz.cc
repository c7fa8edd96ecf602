// SPDX-License-Identifier: Apache-2.0
// adapter_config.json: whatever is accepted gives every module a rank and an alpha that can be
// used.
#include <array>
#include <cmath>

#include "adapters/peft_config.h"
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

// An item of a JSON object takes 48 bytes where its text may take six, and the vectors that hold
// them double as they grow.
constexpr std::size_t kBytesATextByte = 16;

} // namespace

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds;
  for (const std::string_view text :
       {R"({"peft_type":"LORA","r":8,"lora_alpha":16})",
        R"({"peft_type":"LORA","r":8,"lora_alpha":0.5,"bias":"none","use_rslora":true,
            "target_modules":["q_proj","v_proj"],"rank_pattern":{"q_proj":4,"^a\\.b$":2},
            "alpha_pattern":{"layers.0.mlp.up_proj":32},"use_dora":false,"modules_to_save":null,
            "init_lora_weights":"gaussian","loftq_config":{},"fan_in_fan_out":false})",
        R"({"peft_type":"LORA","r":1,"lora_alpha":1,"rank_pattern":{".*":2}})",
        R"({"peft_type":"IA3"})"}) {
    const ByteSpan bytes = as_bytes(text);
    seeds.emplace_back(bytes.begin(), bytes.end());
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const AllocationLimit limit(kBytesATextByte * size + AllocationLimit::kSlack);
  const auto config = PeftConfig::parse(ByteSpan(data, size));
  if (!config) return 0;
  for (const std::string_view path :
       {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "a.b", ""}) {
    COPPICE_CHECK(config->rank(path) > 0);
    COPPICE_CHECK(std::isfinite(config->alpha(path)) && config->alpha(path) > 0);
  }
  return 0;
}
