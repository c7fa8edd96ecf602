// SPDX-License-Identifier: Apache-2.0
#include "adapters/factor_tensors.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "adapters/module_names.h"
#include "base/check.h"
#include "base/text.h"
#include "formats/half.h"

namespace coppice {
namespace {

constexpr std::size_t kQ8Elements = 32; // of a block: a half as scale, then as many int8
constexpr std::size_t kQ8Bytes = 2 + kQ8Elements;

std::uint16_t word_at(ByteSpan data, std::size_t offset) {
  std::uint16_t word = 0;
  std::memcpy(&word, data.data() + offset, sizeof(word));
  return word;
}

void widen_q8_0(ByteSpan data, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t block = i / kQ8Elements * kQ8Bytes;
    const auto quantum = static_cast<std::int8_t>(data[block + 2 + i % kQ8Elements]);
    values[i] = half_to_float(word_at(data, block)) * static_cast<float>(quantum);
  }
}

Error wrong_shape(const FactorTensor& tensor, std::uint64_t rows, std::uint64_t columns,
                  std::string_view file) {
  return {ErrorCode::kInvalidArgument,
          cat(file, ": ", tensor.name, " is ", tensor.rows, " x ", tensor.columns,
              ", and this base model needs ", rows, " x ", columns,
              ": the adapter was made for another base; give the base it was trained on")};
}

Result<AdapterTarget> checked_target(const ModuleFactors& factors, const AdapterTarget& module,
                                     std::string_view file) {
  if (!factors.a || !factors.b) {
    const FactorTensor& there = factors.a ? *factors.a : *factors.b;
    return Error{ErrorCode::kInvalidArgument,
                 cat(file, ": ", there.name, " stands alone: the ", factors.a ? "B" : "A",
                     " factor of ", module.tensor, " is missing; get the adapter again")};
  }
  const std::uint64_t rank = factors.a->rows;
  if (factors.a->columns != module.in) return wrong_shape(*factors.a, rank, module.in, file);
  if (factors.b->rows != module.out || factors.b->columns != rank) {
    return wrong_shape(*factors.b, module.out, rank, file);
  }
  if (rank == 0 || rank > std::min(module.in, module.out)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(file, ": ", factors.a->name, " has rank ", rank, ", and ", module.tensor,
                     " allows 1 to ", std::min(module.in, module.out))};
  }
  AdapterTarget target = module;
  target.rank = static_cast<std::uint32_t>(rank);
  target.alpha = factors.alpha;
  return target;
}

// Modules of the table in its order; others after them, as given.
auto spec_order(const AdapterTarget& target, std::string_view architecture) {
  const auto module = module_from_gguf(target.tensor, architecture);
  return std::tuple(!module.has_value(), module.value_or(ModuleName{}));
}

} // namespace

void widen_factor(FactorType type, ByteSpan data, std::span<float> values) {
  switch (type) {
    case FactorType::kF32:
      COPPICE_CHECK(data.size() == values.size_bytes());
      if (!data.empty()) std::memcpy(values.data(), data.data(), data.size());
      return;
    case FactorType::kF16:
    case FactorType::kBF16:
      COPPICE_CHECK(data.size() == values.size() * 2);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint16_t word = word_at(data, 2 * i);
        values[i] = type == FactorType::kF16 ? half_to_float(word) : bfloat16_to_float(word);
      }
      return;
    case FactorType::kQ8_0:
      COPPICE_CHECK(values.size() % kQ8Elements == 0 &&
                    data.size() == values.size() / kQ8Elements * kQ8Bytes);
      widen_q8_0(data, values);
      return;
  }
}

std::optional<std::size_t> find_module(const AdaptableModules& modules, std::string_view tensor) {
  const auto found = std::ranges::find(modules, tensor, &AdapterTarget::tensor);
  if (found == modules.end()) return std::nullopt;
  return static_cast<std::size_t>(found - modules.begin());
}

Result<Adapter> assemble_adapter(const FactorFile& file, const AdaptableModules& modules) {
  COPPICE_CHECK(file.factors.size() == modules.size());
  std::vector<std::pair<AdapterTarget, const ModuleFactors*>> found;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const ModuleFactors& factors = file.factors[i];
    if (!factors.a && !factors.b) continue;
    found.emplace_back(COPPICE_TRY(checked_target(factors, modules[i], file.name)), &factors);
  }
  std::ranges::stable_sort(
      found, {}, [&file](const auto& entry) { return spec_order(entry.first, file.architecture); });
  AdapterSpec spec{.architecture = file.architecture, .scaling = file.scaling, .targets = {}};
  for (const auto& entry : found) spec.targets.push_back(entry.first);
  if (auto valid = spec.validate(); !valid) return std::move(valid).error().with_context(file.name);
  Adapter adapter(std::make_shared<const AdapterSpec>(std::move(spec)));
  for (std::size_t t = 0; t < found.size(); ++t) {
    const ModuleFactors& factors = *found[t].second;
    widen_factor(factors.a->type, factors.a->data, adapter.a(t));
    widen_factor(factors.b->type, factors.b->data, adapter.b(t));
  }
  if (!adapter.finite()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(file.name, " holds NaN or infinity; the training that made it diverged")};
  }
  return adapter;
}

} // namespace coppice
