// SPDX-License-Identifier: Apache-2.0
// A small llama file with random weights of mixed block types, and texts and adapters for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/base_model.h"
#include "model/engine.h"

namespace coppice::graph {

// 2 layers, d 256, 8 heads on 2 key-value heads, f 288, context 96; weights in F32, F16, BF16,
// Q8_0, Q4_0, and an untied head in Q6_K. With rope_freqs.weight.
std::shared_ptr<const BaseModel> mixed_tiny_model();
// 2 layers, d 64, 4 heads on 2, f 96, context 64; all F32, tied head.
std::shared_ptr<const BaseModel> float_tiny_model();

// The model in the repository.
std::shared_ptr<const BaseModel> repository_model();

// The engine that this test program is about: graph_engine_under_test.cc or the native one's.
Result<std::unique_ptr<Engine>> open_engine(std::shared_ptr<const BaseModel> base,
                                            const EngineOptions& options);
std::unique_ptr<Engine> engine_for(std::shared_ptr<const BaseModel> base, unsigned threads = 2);

// The least with which it trains the tiny models' sequences one by one.
extern const std::uint64_t kLeastActivationBytes;

// All seven modules, A and B random and non-zero.
Adapter random_adapter(const BaseModel& base, std::uint32_t rank, std::uint64_t seed,
                       const std::vector<std::string>& targets = {"all-linear"});
// The same to start from.
std::shared_ptr<const Adapter> random_start(const BaseModel& base, std::uint32_t rank,
                                            std::uint64_t seed);
std::vector<TokenId> random_tokens(const BaseModel& base, std::size_t count, std::uint64_t seed);
// Every token but the first is predicted.
Sequence whole_sequence(std::vector<TokenId> tokens);
Sequence random_sequence(const BaseModel& base, std::size_t count, std::uint64_t seed);

// sum(a b) / (|a| |b|), and |a - b| / |b|, in double.
double cosine(std::span<const float> a, std::span<const float> b);
double relative_difference(std::span<const float> a, std::span<const float> b);

} // namespace coppice::graph
