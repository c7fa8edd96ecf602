// SPDX-License-Identifier: Apache-2.0
#include "adapters/gguf_adapter.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "adapters/factor_tensors.h"
#include "base/text.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "formats/printable.h"

namespace coppice {
namespace {

constexpr std::string_view kSuffixA = ".weight.lora_a";
constexpr std::string_view kSuffixB = ".weight.lora_b";
constexpr const char* kAlphaKey = "adapter.lora.alpha";
constexpr std::uint32_t kFileTypeF32 = 0; // general.file_type: all F32

Result<void> check_head(const GgufFile& file, const std::string& architecture) {
  const auto kind = COPPICE_TRY(file.get_string_or("general.type", "model"));
  if (kind != "adapter") {
    return invalid_argument(
        cat(file.name(), " holds a ", printable(kind),
            ", not an adapter; give it as the base, or give an adapter's file"));
  }
  const auto type = COPPICE_TRY(file.get_string("adapter.type"));
  if (type != "lora") {
    return not_supported(cat(file.name(), ": adapter.type is ", printable(type),
                             ", and only lora adapters are read"));
  }
  if (file.has("adapter.alora.invocation_tokens")) {
    return not_supported(cat(file.name(),
                             " acts only after certain tokens (aLoRA), and coppice "
                             "reads plain LoRA only"));
  }
  const auto made_for = COPPICE_TRY(file.get_string("general.architecture"));
  if (made_for != architecture) {
    return invalid_argument(cat(file.name(), " was made for a base of architecture ",
                                printable(made_for), ", and this base is ", architecture,
                                "; give the base it was trained on"));
  }
  return {};
}

Result<FactorTensor> factor_tensor(const GgufTensor& tensor) {
  FactorTensor factor{.name = printable(tensor.name), .data = tensor.data};
  switch (tensor.type) {
    case BlockType::kF32: factor.type = FactorType::kF32; break;
    case BlockType::kF16: factor.type = FactorType::kF16; break;
    case BlockType::kBF16: factor.type = FactorType::kBF16; break;
    case BlockType::kQ8_0: factor.type = FactorType::kQ8_0; break;
    default:
      return not_supported(
          cat(factor.name, " holds ", block_type_name(tensor.type),
              ", and F32, F16, BF16 and Q8_0 are read; convert the adapter to one"));
  }
  const auto& dims = tensor.dims;
  if (dims.size() > 2) {
    return invalid_argument(cat(factor.name, " has ", dims.size(), " dimensions, and needs 2"));
  }
  factor.columns = dims[0];
  factor.rows = dims.size() == 2 ? dims[1] : 1; // trailing ones may be left out
  return factor;
}

Result<void> place_tensor(const GgufTensor& tensor, const AdaptableModules& modules,
                          std::vector<ModuleFactors>& factors) {
  const bool is_a = tensor.name.ends_with(kSuffixA);
  if (!is_a && !tensor.name.ends_with(kSuffixB)) {
    return not_supported(cat(printable(tensor.name), " is no LoRA factor (NAME", kSuffixA,
                             " or NAME", kSuffixB, ")"));
  }
  std::string_view module = tensor.name;
  module.remove_suffix(kSuffixA.size());
  const auto index = find_module(modules, module);
  if (!index) {
    return invalid_argument(
        cat(printable(module),
            ": this base model has no such layer to adapt: the "
            "adapter was made for another base; give the base it was trained on"));
  }
  const FactorTensor factor = COPPICE_TRY(factor_tensor(tensor));
  (is_a ? factors[*index].a : factors[*index].b) = factor;
  return {};
}

// A target's alpha in a file whose scale is alpha / r: what gives the target its scale.
float file_alpha(const AdapterSpec& spec, std::size_t target) {
  const AdapterTarget& shape = spec.targets[target];
  if (spec.scaling == LoraScaling::kStandard) return shape.alpha;
  return spec.scale(target) * static_cast<float>(shape.rank);
}

// The file's one alpha: the targets' own where they agree, 0 (scale 1) where all scales are 1, else
// the first target's.
float common_alpha(const AdapterSpec& spec) {
  const float first = file_alpha(spec, 0);
  bool agree = true;
  bool all_one = true;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    agree = agree && file_alpha(spec, t) == first;
    all_one = all_one && spec.scale(t) == 1.0F;
  }
  return agree || !all_one ? first : 0.0F;
}

// What B must be multiplied by for the file's alpha to give the target its scale.
float folded_ratio(const AdapterSpec& spec, std::size_t target, float alpha) {
  return alpha == 0.0F ? spec.scale(target) : file_alpha(spec, target) / alpha;
}

} // namespace

Result<Adapter> read_gguf_adapter(const fs::path& path, const std::string& architecture,
                                  const AdaptableModules& modules) {
  const GgufFile file = COPPICE_TRY(GgufFile::open(path));
  COPPICE_TRY(check_head(file, architecture));
  const auto alpha = static_cast<float>(COPPICE_TRY(file.get_float(kAlphaKey)));
  if (!std::isfinite(alpha) || alpha < 0) {
    return invalid_argument(cat(file.name(), ": ", kAlphaKey, " must be a number from zero up"));
  }
  FactorFile found{.name = file.name(),
                   .architecture = architecture,
                   .factors = std::vector<ModuleFactors>(modules.size())};
  for (const GgufTensor& tensor : file.tensors()) {
    if (auto placed = place_tensor(tensor, modules, found.factors); !placed) {
      return std::move(placed).error().with_context(file.name());
    }
  }
  for (ModuleFactors& factors : found.factors) {
    if (!factors.a) continue;
    // No alpha means scale 1, and so does an alpha of r.
    factors.alpha = alpha == 0.0F ? static_cast<float>(factors.a->rows) : alpha;
  }
  return assemble_adapter(found, modules);
}

Result<void> write_gguf_adapter(const fs::path& path, const Adapter& adapter) {
  const AdapterSpec& spec = adapter.spec();
  const float alpha = common_alpha(spec);
  GgufWriter writer = COPPICE_TRY(GgufWriter::create());
  COPPICE_TRY(writer.add_metadata("general.architecture", spec.architecture));
  COPPICE_TRY(writer.add_metadata("general.type", std::string("adapter")));
  COPPICE_TRY(writer.add_metadata("adapter.type", std::string("lora")));
  COPPICE_TRY(writer.add_metadata(kAlphaKey, alpha));
  COPPICE_TRY(writer.add_metadata("general.file_type", kFileTypeF32));
  std::vector<std::vector<float>> folded(spec.targets.size());
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    const AdapterTarget& target = spec.targets[t];
    std::span<const float> b = adapter.b(t);
    const float ratio = folded_ratio(spec, t, alpha);
    if (ratio != 1.0F) {
      folded[t].resize(b.size());
      std::ranges::transform(b, folded[t].begin(), [ratio](float value) { return value * ratio; });
      b = folded[t];
    }
    const std::array<std::uint64_t, 2> a_dims = {target.in, target.rank};
    const std::array<std::uint64_t, 2> b_dims = {target.rank, target.out};
    COPPICE_TRY(writer.add_tensor(cat(target.tensor, kSuffixA), a_dims, BlockType::kF32,
                                  as_bytes(adapter.a(t))));
    COPPICE_TRY(
        writer.add_tensor(cat(target.tensor, kSuffixB), b_dims, BlockType::kF32, as_bytes(b)));
  }
  return writer.write_file(path);
}

} // namespace coppice
