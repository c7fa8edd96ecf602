// SPDX-License-Identifier: Apache-2.0
#include "adapters/peft_adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "adapters/factor_tensors.h"
#include "adapters/module_names.h"
#include "adapters/peft_config.h"
#include "adapters/rope_rows.h"
#include "base/text.h"
#include "formats/printable.h"
#include "formats/safetensors_reader.h"
#include "formats/safetensors_writer.h"

namespace coppice {
namespace {

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";
constexpr std::size_t kConfigBytes = std::size_t{1} << 20U;
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kPeftA = ".lora_A.weight";
constexpr std::string_view kPeftB = ".lora_B.weight";
constexpr std::string_view kSuffixMagnitude = ".lora_magnitude_vector";

// Tensors that PEFT writes for things that coppice doesn't read.
Error unknown_tensor(const std::string& name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kKnown = {{
      {".lora_embedding_", "a trained embedding"},
      {".lora_magnitude_vector", "DoRA's magnitudes"},
      {".lora_B.bias", "a trained bias"},
      {".modules_to_save", "a whole module"},
  }};
  for (const auto& [part, meaning] : kKnown) {
    if (name.find(part) != std::string::npos) {
      return not_supported(cat(printable(name), " is ", meaning,
                               ", and coppice reads plain LoRA only; train without it"));
    }
  }
  return not_supported(cat(printable(name),
                           " is no LoRA factor of a linear layer that coppice knows; only q_proj, "
                           "k_proj, v_proj, qkv_proj, o_proj, gate_proj, up_proj, gate_up_proj and "
                           "down_proj are read"));
}

// A vector is a matrix of one column.
Result<FactorTensor> factor_tensor(const SafeTensor& tensor, std::size_t dimensions) {
  FactorTensor factor{.name = printable(tensor.name), .data = tensor.data};
  switch (tensor.dtype) {
    case Dtype::kF32: factor.type = FactorType::kF32; break;
    case Dtype::kF16: factor.type = FactorType::kF16; break;
    case Dtype::kBF16: factor.type = FactorType::kBF16; break;
    default:
      return not_supported(
          cat(factor.name, " holds ", dtype_name(tensor.dtype),
              ", and F32, F16 and BF16 are read; save the adapter as one of them"));
  }
  if (tensor.shape.size() != dimensions) {
    return invalid_argument(
        cat(factor.name, " has ", tensor.shape.size(), " dimensions, and needs ", dimensions));
  }
  factor.rows = tensor.shape[0];
  factor.columns = dimensions == 1 ? 1 : tensor.shape[1];
  return factor;
}

// The index into `modules` of what a tensor's name stands for, less `suffix`.
Result<std::size_t> module_of(std::string_view tensor, std::string_view suffix,
                              std::string_view architecture, const AdaptableModules& modules) {
  if (!tensor.starts_with(kPrefix) || tensor.size() < kPrefix.size() + suffix.size()) {
    return unknown_tensor(std::string(tensor));
  }
  const std::string_view path =
      tensor.substr(kPrefix.size(), tensor.size() - kPrefix.size() - suffix.size());
  const auto name = module_from_peft(path);
  if (!name) return unknown_tensor(std::string(tensor));
  // What a file of this architecture calls so may be another module: up_proj and gate_up_proj.
  const std::string base_name = gguf_module_name(*name);
  const bool exists = module_from_gguf(base_name, architecture) == name;
  const auto index = exists ? find_module(modules, base_name) : std::nullopt;
  if (index) return *index;
  return invalid_argument(cat(path,
                              ": this base model has no such layer: the adapter was made for "
                              "another base; give the base it was trained on"));
}

// Puts one tensor where its name says, and checks it against the configuration.
Result<void> place_tensor(const SafeTensor& tensor, const PeftConfig& config,
                          const AdaptableModules& modules, FactorFile& file) {
  const bool is_a = tensor.name.ends_with(kPeftA);
  if (!is_a && !tensor.name.ends_with(kPeftB)) return unknown_tensor(tensor.name);
  const std::size_t index = COPPICE_TRY(module_of(tensor.name, kPeftA, file.architecture, modules));
  std::string_view path = tensor.name;
  path.remove_prefix(kPrefix.size());
  path.remove_suffix(kPeftA.size());
  if (!config.targets(path)) {
    return invalid_argument(
        cat(path, " has tensors, but ", kConfigName,
            " doesn't name it in target_modules; the two files don't belong together"));
  }
  const FactorTensor factor = COPPICE_TRY(factor_tensor(tensor, 2));
  const std::uint64_t rank = is_a ? factor.rows : factor.columns;
  if (rank != config.rank(path)) {
    return invalid_argument(cat(factor.name, " has rank ", rank, ", but ", kConfigName,
                                " gives it rank ", config.rank(path),
                                "; the two files don't belong together"));
  }
  ModuleFactors& module = file.factors[index];
  (is_a ? module.a : module.b) = factor;
  module.alpha = config.alpha(path);
  return {};
}

using TurnRows = void (*)(const RopeRows&, std::span<const float>, std::span<float>);

// B of each target whose rows the base file interleaves, turned; empty for the others.
std::vector<std::vector<float>> turned_rows(const Adapter& adapter, TurnRows turn) {
  std::vector<std::vector<float>> turned(adapter.targets());
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& target = adapter.spec().targets[t];
    if (target.rope_heads == 0) continue;
    turned[t].resize(target.b_elements());
    turn({.heads = target.rope_heads, .rows = target.out, .columns = target.rank}, adapter.b(t),
         turned[t]);
  }
  return turned;
}

Result<PeftConfig> read_config(const fs::path& folder) {
  const Bytes text = COPPICE_TRY(read_file(folder / kConfigName, kConfigBytes));
  auto config = PeftConfig::parse(text);
  if (!config) return std::move(config).error().with_context((folder / kConfigName).string());
  return config;
}

Result<SafetensorsFile> open_tensors(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kTensorsName, ignored) &&
      fs::exists(folder / "adapter_model.bin", ignored)) {
    return not_supported(cat(folder.string(),
                             " holds adapter_model.bin, a pickle, which can run any "
                             "program and is not read; save the adapter as safetensors"));
  }
  return SafetensorsFile::open(folder / kTensorsName);
}

// Magnitudes by module; a module that has none is left out.
using Magnitudes = std::vector<std::optional<FactorTensor>>;

Result<std::vector<float>> target_magnitudes(const std::optional<FactorTensor>& tensor,
                                             const AdapterTarget& target, PeftRows rows) {
  if (!tensor || tensor->rows != target.out) {
    return invalid_argument(cat(target.tensor, " needs ", target.out, " magnitudes, and has ",
                                tensor ? tensor->rows : 0, "; get the adapter again"));
  }
  std::vector<float> values(target.out);
  widen_factor(tensor->type, tensor->data, values);
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    return invalid_argument(cat(tensor->name, " holds NaN or infinity; the training diverged"));
  }
  if (rows == PeftRows::kHuggingFace && target.rope_heads != 0) {
    std::vector<float> turned(values.size());
    half_split_to_interleaved({.heads = target.rope_heads, .rows = target.out, .columns = 1},
                              values, turned);
    return turned;
  }
  return values;
}

// `dora`: magnitudes are read too, and must be there.
Result<DoraAdapter> read_folder(const fs::path& folder, const std::string& architecture,
                                const AdaptableModules& modules, PeftRows rows, bool dora) {
  const PeftConfig config = COPPICE_TRY(read_config(folder));
  const SafetensorsFile tensors = COPPICE_TRY(open_tensors(folder));
  FactorFile file{.name = (folder / kTensorsName).string(),
                  .architecture = architecture,
                  .scaling = config.scaling(),
                  .factors = std::vector<ModuleFactors>(modules.size())};
  Magnitudes magnitudes(modules.size());
  const auto place = [&](const SafeTensor& tensor) -> Result<void> {
    if (!dora || !tensor.name.ends_with(kSuffixMagnitude)) {
      return place_tensor(tensor, config, modules, file);
    }
    const auto index = COPPICE_TRY(module_of(tensor.name, kSuffixMagnitude, architecture, modules));
    magnitudes[index] = COPPICE_TRY(factor_tensor(tensor, 1));
    return {};
  };
  for (const SafeTensor& tensor : tensors.tensors()) {
    if (auto placed = place(tensor); !placed) {
      return std::move(placed).error().with_context(file.name);
    }
  }
  DoraAdapter read{.adapter = COPPICE_TRY(assemble_adapter(file, modules)), .magnitudes = {}};
  if (rows == PeftRows::kHuggingFace) {
    const auto turned = turned_rows(read.adapter, half_split_to_interleaved);
    for (std::size_t t = 0; t < turned.size(); ++t) {
      std::ranges::copy(turned[t], read.adapter.b(t).begin());
    }
  }
  for (std::size_t t = 0; dora && t < read.adapter.targets(); ++t) {
    const AdapterTarget& target = read.adapter.spec().targets[t];
    const std::size_t index = find_module(modules, target.tensor).value();
    read.magnitudes.push_back(COPPICE_TRY(target_magnitudes(magnitudes[index], target, rows)));
  }
  return read;
}

} // namespace

Result<bool> is_peft_dora(const fs::path& folder) {
  return COPPICE_TRY(read_config(folder)).dora();
}

Result<Adapter> read_peft_adapter(const fs::path& folder, const std::string& architecture,
                                  const AdaptableModules& modules, PeftRows rows) {
  if (COPPICE_TRY(is_peft_dora(folder))) {
    return not_supported(cat((folder / kConfigName).string(),
                             ": use_dora is set, and a DoRA adapter can only be merged into its "
                             "base: `coppice adapter merge`"));
  }
  return COPPICE_TRY(read_folder(folder, architecture, modules, rows, false)).adapter;
}

Result<DoraAdapter> read_peft_dora(const fs::path& folder, const std::string& architecture,
                                   const AdaptableModules& modules, PeftRows rows) {
  return read_folder(folder, architecture, modules, rows, true);
}

Result<void> write_peft_adapter(const fs::path& folder, const Adapter& adapter,
                                const PeftWriteOptions& options) {
  const std::string config = COPPICE_TRY(peft_config_text(adapter.spec(), options.base_model));
  std::vector<std::vector<float>> turned(adapter.targets());
  if (options.rows == PeftRows::kHuggingFace) {
    turned = turned_rows(adapter, interleaved_to_half_split);
  }
  struct Entry {
    std::string name;
    std::array<std::uint64_t, 2> shape;
    std::span<const float> values;
  };
  std::vector<Entry> entries;
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& target = adapter.spec().targets[t];
    // Names were found when the configuration was written.
    const std::string path =
        peft_module_path(module_from_gguf(target.tensor, adapter.spec().architecture).value());
    const std::span<const float> b =
        turned[t].empty() ? adapter.b(t) : std::span<const float>(turned[t]);
    entries.push_back({cat(kPrefix, path, kPeftA), {target.rank, target.in}, adapter.a(t)});
    entries.push_back({cat(kPrefix, path, kPeftB), {target.out, target.rank}, b});
  }
  // The reference library lays tensors of one dtype out by name.
  std::ranges::sort(entries, {}, &Entry::name);
  SafetensorsWriter writer;
  COPPICE_TRY(writer.add_metadata("format", "pt"));
  for (const Entry& entry : entries) {
    COPPICE_TRY(writer.add_tensor(entry.name, Dtype::kF32, entry.shape, as_bytes(entry.values)));
  }
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) {
    return Error{ErrorCode::kIo,
                 cat("can't make the folder ", folder.string(), ": ", failed.message())};
  }
  COPPICE_TRY(writer.write_file(folder / kTensorsName));
  return write_file_atomically(folder / kConfigName, as_bytes(config));
}

} // namespace coppice
