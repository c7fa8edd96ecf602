// SPDX-License-Identifier: Apache-2.0
#include "model/adapter_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>

#include "adapters/adapter_file.h"
#include "adapters/module_names.h"
#include "base/text.h"
#include "formats/safetensors_reader.h"

namespace coppice {
namespace {

constexpr const char* kPeftConfig = "adapter_config.json";
constexpr const char* kPeftTensors = "adapter_model.safetensors";
constexpr std::string_view kPeftPrefix = "base_model.model.";
// Without a base model at hand a PEFT folder doesn't say what it was trained on: the architectures
// that its modules' names stand for.
constexpr const char* kUsualArchitecture = "llama";
constexpr const char* kFusedArchitecture = "phi3";

// One factor's shape, as some file spells its name.
struct FactorShape {
  ModuleName module;
  bool is_a = false;
  std::uint64_t in = 0;  // of A
  std::uint64_t out = 0; // of B
};

AdaptableModules modules_of(const std::vector<FactorShape>& factors) {
  std::map<ModuleName, AdapterTarget> found;
  for (const FactorShape& factor : factors) {
    AdapterTarget& target = found[factor.module];
    target.tensor = gguf_module_name(factor.module);
    if (factor.is_a) {
      target.in = static_cast<std::uint32_t>(std::min<std::uint64_t>(factor.in, UINT32_MAX));
    } else {
      target.out = static_cast<std::uint32_t>(std::min<std::uint64_t>(factor.out, UINT32_MAX));
    }
  }
  AdaptableModules modules;
  for (auto& [name, target] : found) modules.push_back(std::move(target));
  return modules;
}

struct PeftModules {
  const char* architecture = kUsualArchitecture;
  AdaptableModules modules;
};

Result<PeftModules> modules_of_peft(const fs::path& folder) {
  const auto file = COPPICE_TRY(SafetensorsFile::open(folder / kPeftTensors));
  std::vector<FactorShape> factors;
  for (const SafeTensor& tensor : file.tensors()) {
    std::string_view name = tensor.name;
    if (!name.starts_with(kPeftPrefix) || tensor.shape.size() != 2) continue;
    name.remove_prefix(kPeftPrefix.size());
    const bool is_a = name.ends_with(".lora_A.weight");
    if (!is_a && !name.ends_with(".lora_B.weight")) continue;
    name.remove_suffix(std::string_view(".lora_A.weight").size());
    const auto module = module_from_peft(name);
    if (module) factors.push_back({*module, is_a, tensor.shape[1], tensor.shape[0]});
  }
  PeftModules found{.modules = modules_of(factors)};
  const auto fused = [](const FactorShape& factor) { return is_fused(factor.module); };
  if (std::ranges::any_of(factors, fused)) found.architecture = kFusedArchitecture;
  return found;
}

AdaptableModules modules_of_gguf(const GgufFile& file, std::string_view architecture) {
  std::vector<FactorShape> factors;
  for (const GgufTensor& tensor : file.tensors()) {
    std::string_view name = tensor.name;
    const bool is_a = name.ends_with(".weight.lora_a");
    if ((!is_a && !name.ends_with(".weight.lora_b")) || tensor.dims.size() != 2) continue;
    name.remove_suffix(std::string_view(".weight.lora_a").size());
    const auto module = module_from_gguf(name, architecture);
    if (module) factors.push_back({*module, is_a, tensor.dims[0], tensor.dims[1]});
  }
  return modules_of(factors);
}

// Rows of q and k differ in order between PEFT's files and those of this architecture.
bool has_rope_modules(const AdapterSpec& spec) {
  return file_layout(spec.architecture).interleaved_heads &&
         std::ranges::any_of(spec.targets, [](const AdapterTarget& target) {
           return target.tensor.ends_with("attn_q") || target.tensor.ends_with("attn_k");
         });
}

// What the readers of the other kinds check against the base, for our own files.
Result<void> check_fits(const fs::path& path, const AdapterSpec& spec, const BaseModel& base) {
  const AdaptableModules modules = base.adaptable_modules();
  if (spec.architecture != base.config().architecture) {
    return Error{ErrorCode::kInvalidArgument,
                 cat(path.string(), " is an adapter for ", spec.architecture, " models, and ",
                     base.path().string(), " is ", base.config().architecture)};
  }
  for (const AdapterTarget& target : spec.targets) {
    const auto found = std::ranges::find(modules, target.tensor, &AdapterTarget::tensor);
    if (found == modules.end() || found->in != target.in || found->out != target.out ||
        found->rope_heads != target.rope_heads) {
      return Error{
          ErrorCode::kInvalidArgument,
          cat(path.string(), " is an adapter for another base model: ", target.tensor, " (",
              target.in, " to ", target.out, ") doesn't fit ", base.path().string())};
    }
  }
  return {};
}

Result<LoadedAdapter> load_known(const fs::path& path, AdapterFormat format, const BaseModel& base,
                                 PeftRows rows) {
  const std::string& architecture = base.config().architecture;
  switch (format) {
    case AdapterFormat::kPeft:
      return LoadedAdapter{
          COPPICE_TRY(read_peft_adapter(path, architecture, base.adaptable_modules(), rows)),
          format};
    case AdapterFormat::kGguf:
      return LoadedAdapter{
          COPPICE_TRY(read_gguf_adapter(path, architecture, base.adaptable_modules())), format};
    case AdapterFormat::kCoppice: break;
  }
  Adapter adapter = COPPICE_TRY(read_adapter_file(path));
  COPPICE_TRY(check_fits(path, adapter.spec(), base));
  return LoadedAdapter{std::move(adapter), format};
}

// `rows` as declared: they only matter once a row would have to move.
Result<LoadedAdapter> load_alone(const fs::path& path, AdapterFormat format, PeftRows rows) {
  if (format == AdapterFormat::kCoppice) {
    return LoadedAdapter{COPPICE_TRY(read_adapter_file(path)), format};
  }
  if (format == AdapterFormat::kPeft) {
    const PeftModules found = COPPICE_TRY(modules_of_peft(path));
    Adapter adapter =
        COPPICE_TRY(read_peft_adapter(path, found.architecture, found.modules, PeftRows::kGguf));
    const bool known = !has_rope_modules(adapter.spec()) || rows == PeftRows::kGguf;
    return LoadedAdapter{std::move(adapter), format, known};
  }
  const GgufFile file = COPPICE_TRY(GgufFile::open(path));
  const std::string architecture(COPPICE_TRY(file.get_string("general.architecture")));
  return LoadedAdapter{
      COPPICE_TRY(read_gguf_adapter(path, architecture, modules_of_gguf(file, architecture))),
      format};
}

// Rows of q and k are in base order, but how many heads they make up isn't known.
bool heads_unknown(const AdapterSpec& spec) {
  return has_rope_modules(spec) &&
         std::ranges::any_of(spec.targets, [](const AdapterTarget& target) {
           return target.rope_heads == 0 &&
                  (target.tensor.ends_with("attn_q") || target.tensor.ends_with("attn_k"));
         });
}

Error needs_model(std::string_view what) {
  return {ErrorCode::kFailedPrecondition,
          cat(what,
              " needs the base model's head count, to put the rows of q and k in order: give "
              "--model FILE, or --rows gguf if the PEFT side has them in GGUF order")};
}

} // namespace

const char* adapter_format_name(AdapterFormat format) {
  switch (format) {
    case AdapterFormat::kPeft: return "peft";
    case AdapterFormat::kGguf: return "gguf";
    case AdapterFormat::kCoppice: return "coppice";
  }
  return "unknown";
}

Result<AdapterFormat> parse_adapter_format(std::string_view name) {
  for (const AdapterFormat format :
       {AdapterFormat::kPeft, AdapterFormat::kGguf, AdapterFormat::kCoppice}) {
    if (name == adapter_format_name(format)) return format;
  }
  return Error{ErrorCode::kInvalidArgument,
               cat("no kind of adapter is called '", name, "'; use peft, gguf or coppice")};
}

Result<PeftRows> parse_rows(std::string_view name) {
  if (name == "hf") return PeftRows::kHuggingFace;
  if (name == "gguf") return PeftRows::kGguf;
  return Error{ErrorCode::kInvalidArgument, cat("--rows takes hf or gguf, not '", name, "'")};
}

Result<AdapterFormat> detect_adapter_format(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) {
    if (fs::exists(path / kPeftConfig, code)) return AdapterFormat::kPeft;
    return Error{ErrorCode::kNotFound, cat(path.string(), " is a folder without ", kPeftConfig,
                                           ": a PEFT adapter has one")};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error{ErrorCode::kNotFound, cat("there is no adapter ", path.string())};
  }
  std::array<char, 4> magic{};
  file.read(magic.data(), magic.size());
  const std::string_view found(magic.data(), static_cast<std::size_t>(file.gcount()));
  if (found == "GGUF") return AdapterFormat::kGguf;
  if (found == "CPAD") return AdapterFormat::kCoppice;
  return Error{ErrorCode::kUnsupported,
               cat(path.string(),
                   " is no adapter: neither a PEFT folder, nor a GGUF file, nor one "
                   "of coppice's own")};
}

AdapterFormat adapter_format_for_output(const fs::path& path) {
  if (path.extension() == ".gguf") return AdapterFormat::kGguf;
  return path.extension() == ".coppice" ? AdapterFormat::kCoppice : AdapterFormat::kPeft;
}

Result<LoadedAdapter> load_adapter(const fs::path& path, const BaseModel* base, PeftRows rows) {
  const AdapterFormat format = COPPICE_TRY(detect_adapter_format(path));
  if (base != nullptr) return load_known(path, format, *base, rows);
  return load_alone(path, format, rows);
}

Result<void> save_adapter(const fs::path& path, const LoadedAdapter& loaded, AdapterFormat format,
                          const PeftWriteOptions& options) {
  const bool unknown_heads = heads_unknown(loaded.adapter.spec());
  switch (format) {
    case AdapterFormat::kGguf:
      if (!loaded.base_order) return needs_model("writing a GGUF adapter");
      return write_gguf_adapter(path, loaded.adapter);
    case AdapterFormat::kCoppice:
      if (unknown_heads) return needs_model("writing coppice's own format");
      return write_adapter_file(path, loaded.adapter);
    case AdapterFormat::kPeft: break;
  }
  // From PEFT order to PEFT order nothing moves; out of base order, only with the heads known.
  const bool to_hf = options.rows == PeftRows::kHuggingFace;
  if (loaded.base_order ? (to_hf && unknown_heads) : !to_hf) {
    return needs_model("writing a PEFT folder");
  }
  return write_peft_adapter(path, loaded.adapter, options);
}

} // namespace coppice
