// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_speed.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "model/engine_module.h"
#include "model/native/ceiling.h"

namespace coppice {
namespace {

constexpr unsigned kCeilingTries = 12;

} // namespace

Result<Ceiling> measure_ceiling() {
  if (const auto linear = measure_linear_ceiling(kCeilingTries)) {
    return Ceiling{linear->f32_gflops, linear->bf16_gflops, "at::linear, 512 x 2048 x 2048"};
  }
  const auto tiles = COPPICE_TRY(native::measure_product_ceiling(kCeilingTries));
  return Ceiling{tiles.f32_gflops, tiles.bf16_gflops, "our own tiles, operands in the first cache"};
}

Ceiling better(const Ceiling& a, const Ceiling& b) {
  return {std::max(a.f32_gflops, b.f32_gflops), std::max(a.bf16_gflops, b.bf16_gflops), a.source};
}

Json ceiling_json(const Ceiling& ceiling, unsigned threads) {
  return {{"f32", ceiling.f32_gflops * threads}, {"bf16", ceiling.bf16_gflops * threads}};
}

double peak_resident_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

std::string threads_text(const ModelOptions& options) {
  const unsigned threads = threads_of(options);
  return cat(threads, threads == 1 ? " thread" : " threads");
}

std::vector<TokenId> random_tokens(const BaseModel& base, std::size_t count, std::uint64_t step) {
  KeyedRandom random({.purpose = RandomPurpose::kText, .step = step});
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random.below(base.config().vocabulary));
  }
  return tokens;
}

void add_count_option(CommandOptions& command, const char* flag, std::uint32_t& value,
                      std::uint32_t lowest, const char* help) {
  command.add_option(flag, value, help)
      .type_name("N")
      .check(in_range(lowest, 1U << 20U))
      .capture_default_str();
}

void add_activations_option(CommandOptions& command, std::string& activations) {
  command.add_option("--activations", activations, "While decoding: int8 or float")
      .type_name("TYPE")
      .check(one_of({kInt8Activations, kFloatActivations}))
      .capture_default_str();
}

} // namespace coppice
