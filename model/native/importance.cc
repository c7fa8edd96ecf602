// SPDX-License-Identifier: Apache-2.0
#include "model/native/importance.h"

#include <algorithm>
#include <numeric>

#include "model/input_checks.h"

namespace coppice::native {

Result<std::unique_ptr<ImportanceMeter>> ImportanceMeter::make(
    std::shared_ptr<const BaseModel> base, unsigned threads) {
  const CpuLevel level = COPPICE_TRY(choose_cpu_level());
  const ProductKernels& kernels = product_kernels(level, Precision::kFloat32);
  return std::unique_ptr<ImportanceMeter>(new ImportanceMeter(std::move(base), kernels, threads));
}

ImportanceMeter::ImportanceMeter(std::shared_ptr<const BaseModel> base,
                                 const ProductKernels& kernels, unsigned threads)
    : transformer_(std::move(base), EngineKernels{kernels, kernels}, threads),
      none_(transformer_.no_adapters()) {
  none_.prepare(kernels, transformer_.layers());
  for (const Layer& layer : transformer_.layers()) {
    squares_.emplace_back();
    for (std::size_t g = 0; g < kGroups; ++g) {
      squares_.back()[g].assign(layer.weights().groups[g].in, 0.0);
    }
  }
}

void ImportanceMeter::add_squares(const ElementRows& x, std::vector<double>& sums) {
  constexpr std::size_t kColumns = 64; // a task has them to itself
  transformer_.pool().run((x.columns + kColumns - 1) / kColumns, [&](std::size_t task, Scratch&) {
    const std::size_t column = task * kColumns;
    const std::size_t n = std::min(kColumns, x.columns - column);
    float values[kColumns];
    for (std::size_t row = 0; row < x.rows; ++row) {
      transformer_.kernels().fast.to_float(x.at(row, column), n, values);
      for (std::size_t j = 0; j < n; ++j) sums[column + j] += double{values[j]} * double{values[j]};
    }
  });
}

Result<void> ImportanceMeter::add(std::span<const TokenId> tokens) {
  const ModelConfig& config = transformer_.config();
  const ProductKernels& kernels = transformer_.kernels().fast;
  COPPICE_TRY(check_tokens(tokens, config));
  transformer_.prepare_positions(tokens.size());
  PassShape pass;
  pass.add(tokens.size());
  std::uint64_t bytes = 0;
  (void)LayerActivations::at(config, kernels, pass.tokens, nullptr, &bytes);
  Buffer kept_memory(bytes);
  LayerActivations kept =
      LayerActivations::at(config, kernels, pass.tokens, kept_memory.data(), &bytes);
  PassMemory memory(config, kernels, pass.tokens);
  Buffer x_memory, input_memory;
  const FloatRows x = float_rows(x_memory, pass.tokens, config.width);
  transformer_.embed(tokens, x);
  for (std::size_t i = 0; i < transformer_.layers().size(); ++i) {
    const Layer& layer = transformer_.layers()[i];
    layer.forward(pass, none_.layer(i), x, kept, memory);
    for (std::size_t g = 0; g < kGroups; ++g) {
      const ElementRows input =
          element_rows(kernels, input_memory, pass.tokens, layer.weights().groups[g].in);
      layer.input_of(static_cast<Group>(g), kept, input);
      add_squares(input, squares_[i][g]);
    }
  }
  tokens_ += pass.tokens;
  return {};
}

ColumnImportance ImportanceMeter::importance() const {
  ColumnImportance importance;
  if (tokens_ == 0) return importance;
  for (std::size_t i = 0; i < squares_.size(); ++i) {
    for (std::size_t g = 0; g < kGroups; ++g) {
      const std::vector<double>& sums = squares_[i][g];
      const double mean =
          std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(sums.size());
      std::vector<float> columns(sums.size());
      std::ranges::transform(sums, columns.begin(), [&](double sum) {
        return static_cast<float>(std::max(sum, kLeast * mean) / static_cast<double>(tokens_));
      });
      for (const Projection& projection :
           transformer_.layers()[i].weights().groups[g].projections) {
        importance[projection.tensor + ".weight"] = columns;
      }
    }
  }
  return importance;
}

} // namespace coppice::native
