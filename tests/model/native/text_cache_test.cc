// SPDX-License-Identifier: Apache-2.0
// What is kept of the last text changes time, never a result.
#include <gtest/gtest.h>

#include "model/native/kv_cache.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

std::vector<TokenId> written(Engine& engine, std::span<const AdapterUse> adapters,
                             std::vector<TokenId> prompt) {
  return engine
      .generate({.adapters = {adapters.begin(), adapters.end()},
                 .prompt = std::move(prompt),
                 .max_tokens = 12,
                 .ignore_end_tokens = true})
      .value()
      .tokens;
}

TEST(TextCache, APromptThatBeginsAlikeIsReadFromWhereItParts) {
  const auto base = repository_model();
  const auto engine = engine_for(base);
  const Adapter adapter = random_adapter(*base, 4, 5);
  const std::vector<AdapterUse> adapters = {{.adapter = &adapter}};
  auto prompt = random_tokens(*base, 40, 1);
  auto longer = prompt;
  longer.push_back(17);
  auto parted = prompt;
  parted[20] = 18;
  // Each in turn on one engine, against an engine of its own.
  for (const auto& text : {prompt, longer, parted, prompt, prompt}) {
    EXPECT_EQ(written(*engine, {}, text), written(*engine_for(base), {}, text));
    EXPECT_EQ(written(*engine, adapters, text), written(*engine_for(base), adapters, text));
  }
}

TEST(TextCache, CachesOfEveryTypeHoldWhatTheyWereGiven) {
  const auto base = repository_model();
  const ModelConfig& config = base->config();
  const std::size_t columns = std::size_t{config.kv_heads} * config.head_width;
  std::vector<float> k(columns), v(columns), out(columns);
  for (std::size_t i = 0; i < columns; ++i) {
    k[i] = 0.01F * static_cast<float>(i);
    v[i] = -k[i];
  }
  const float most = k.back();
  const std::vector<std::pair<BlockType, float>> types = {
      {BlockType::kF32, 0.0F}, {BlockType::kF16, most / 2048}, {BlockType::kQ8_0, most / 250}};
  for (const auto& [type, tolerance] : types) {
    native::KvCache cache(config, type);
    cache.reserve(2);
    cache.put(1, 0, k.data(), v.data());
    cache.advance(1);
    cache.reserve(100); // what is there stays
    cache.values(1, 0, 0, columns, out.data());
    for (std::size_t i = 0; i < columns; ++i) EXPECT_NEAR(out[i], v[i], tolerance);
    cache.keys(1, 0, config.head_width, config.head_width, out.data());
    for (std::size_t i = 0; i < config.head_width; ++i) {
      EXPECT_NEAR(out[i], k[config.head_width + i], tolerance);
    }
  }
}

} // namespace
} // namespace coppice::graph
