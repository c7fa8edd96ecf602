// SPDX-License-Identifier: Apache-2.0
// Reading a base: opening the file, its tokenizer, and weights of each type at each instruction
// level.
#include <benchmark/benchmark.h>

#include "base/random.h"
#include "model/base_model.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

constexpr const char* kModel = COPPICE_SOURCE_DIR "/assets/coppice-4m.q4_0.gguf";
constexpr std::size_t kRow = 2048; // weights; its float32 row stays in the first-level cache

void open_gguf(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(GgufFile::open(kModel).value());
}
BENCHMARK(open_gguf);

void open_base(benchmark::State& state) { // with tensors checked and tokenizer built
  for (auto _ : state) benchmark::DoNotOptimize(BaseModel::open(kModel).value());
}
BENCHMARK(open_base);

void encode_text(benchmark::State& state) {
  const auto base = BaseModel::open(kModel).value();
  std::string text;
  while (text.size() < 10'000) {
    text += "The old gardener counted 12 seedlings, watered them, and wrote it down. ";
  }
  for (auto _ : state) benchmark::DoNotOptimize(base->tokenizer().encode(text));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(encode_text);

// One "item" is a weight. Levels above this machine's are skipped.
void dequantize(benchmark::State& state) {
  const auto type = static_cast<BlockType>(state.range(0));
  const auto level = static_cast<InstructionLevel>(state.range(1));
  state.SetLabel(std::string(block_type_name(type)) + " " +
                 std::string(instruction_level_name(level)));
  if (level > best_instruction_level()) {
    state.SkipWithError("this processor has no such instructions");
    return;
  }
  // Bytes of every value but no float16 NaN among the scales, which would cost what no file costs.
  Bytes blocks(row_bytes(type, kRow));
  KeyedRandom random({.purpose = RandomPurpose::kTest});
  for (auto& byte : blocks) byte = static_cast<std::uint8_t>(random.below(0x78));
  std::vector<float> out(kRow);
  DequantizeRow* const row = dequantizer(type, level);
  for (auto _ : state) {
    row(blocks.data(), kRow, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRow));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(blocks.size()));
}

void each_type_and_level(benchmark::internal::Benchmark* benchmark) {
  for (const BlockTypeInfo& info : block_types()) {
    if (!can_dequantize(info.type)) continue;
    for (const auto level :
         {InstructionLevel::kScalar, InstructionLevel::kAvx2, InstructionLevel::kAvx512}) {
      benchmark->Args({static_cast<std::int64_t>(info.type), static_cast<std::int64_t>(level)});
    }
  }
}
BENCHMARK(dequantize)->Apply(each_type_and_level);

} // namespace
} // namespace coppice
