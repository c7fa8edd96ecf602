// SPDX-License-Identifier: Apache-2.0
// From the factor tensors of somebody's adapter file to an Adapter: what PEFT folders and GGUF
// files have in common. Private to adapters/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/peft_adapter.h"

namespace coppice {

enum class FactorType { kF32, kF16, kBF16, kQ8_0 };

// One stored A or B: row-major, `data` of exactly the size its type and shape imply.
struct FactorTensor {
  std::string name; // in its file, for errors
  FactorType type = FactorType::kF32;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  ByteSpan data;
};

// What a file holds for one module; a module that it leaves out has neither factor.
struct ModuleFactors {
  std::optional<FactorTensor> a; // (rank, in)
  std::optional<FactorTensor> b; // (out, rank)
  float alpha = 0;
};

struct FactorFile {
  std::string name; // of file or folder, for errors
  std::string architecture;
  LoraScaling scaling = LoraScaling::kStandard;
  std::vector<ModuleFactors> factors; // one a module of the base, in the same order
};

// Values as stored, widened to float32, in the order of rows of the file; targets in specs' order.
// kInvalidArgument: half a pair, shapes that aren't the base's, ranks that differ within a pair,
// values that aren't finite, no factors at all. All shapes are checked before values are allocated.
Result<Adapter> assemble_adapter(const FactorFile& file, const AdaptableModules& modules);

// Widens (exactly) to float32; `values` must have the tensor's size.
void widen_factor(FactorType type, ByteSpan data, std::span<float> values);

// Index of the module named so, e.g. "blk.0.attn_q".
std::optional<std::size_t> find_module(const AdaptableModules& modules, std::string_view tensor);

} // namespace coppice
