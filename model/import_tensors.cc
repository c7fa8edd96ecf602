// SPDX-License-Identifier: Apache-2.0
#include "model/import_tensors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/text.h"
#include "formats/printable.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

// A tensor of a layer: its name in the folder and in the file, without the layer's own part.
struct LayerName {
  std::string_view theirs;
  std::string_view ours;
};

constexpr LayerName kLayerNames[] = {
    {"input_layernorm", "attn_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.attn_sub_norm", "attn_sub_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.ffn_sub_norm", "ffn_sub_norm"},
};

constexpr std::uint64_t kValuesAByte = 4; // of packed ternary weights

// How GGUF calls the elements; none for those that aren't read.
std::optional<BlockType> float_type(const SafeTensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF32: return BlockType::kF32;
    case Dtype::kF16: return BlockType::kF16;
    case Dtype::kBF16: return BlockType::kBF16;
    default: return std::nullopt;
  }
}

void read_floats(const SafeTensor& tensor, std::uint64_t first, std::span<float> out) {
  const std::size_t size = dtype_size(tensor.dtype);
  dequantize_row(*float_type(tensor), tensor.data.subspan(first * size, out.size() * size), out);
}

// The row of the folder's order (two halves of a head) that comes to lie at `row` in adjacent
// pairs.
std::uint64_t half_split_row(std::uint64_t row, std::uint64_t head_rows) {
  const std::uint64_t in_head = row % head_rows;
  return row - in_head + in_head % 2 * (head_rows / 2) + in_head / 2;
}

// Parts of a model that aren't computed, and tables that are made from config.json.
bool is_left_out(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with(".weight_scale") ||
         name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.") ||
         name.starts_with("model.vision_tower.") ||
         name.starts_with("model.multi_modal_projector.");
}

// The name within the model of text: "layers.0.mlp.up_proj.weight", "lm_head.weight".
std::string_view inner_name(std::string_view name) {
  for (const std::string_view prefix :
       {"model.language_model.", "language_model.model.", "language_model.", "model."}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

class TensorPlanner {
 public:
  TensorPlanner(const ImportShards& shards, const ImportPlan& plan)
      : shards_(shards), plan_(plan) {}

  Result<std::vector<ImportedTensor>> run() {
    for (const SafeTensor* tensor : shards_.tensors()) {
      if (is_left_out(tensor->name)) continue;
      const auto name = our_name(inner_name(tensor->name));
      if (!name) {
        return Error{ErrorCode::kUnsupported,
                     cat("the tensor ", printable(tensor->name), " is none that ",
                         plan_.architecture, " has here")};
      }
      if (!name->empty()) COPPICE_TRY(add(*name, *tensor));
    }
    const bool head =
        std::ranges::find(made_, "output.weight", &ImportedTensor::name) != made_.end();
    if (!head && plan_.tied == false) {
      return Error{ErrorCode::kNotFound,
                   "there is no tensor lm_head.weight, and the embedding is "
                   "not tied to it"};
    }
    return std::move(made_);
  }

 private:
  // Empty for one that isn't needed; none for one that isn't known.
  std::optional<std::string> our_name(std::string_view name) const {
    if (name == "embed_tokens.weight") return "token_embd.weight";
    if (name == "norm.weight") return "output_norm.weight";
    if (name == "lm_head.weight") return plan_.tied.value_or(false) ? "" : "output.weight";
    constexpr std::string_view kLayers = "layers.";
    if (!name.starts_with(kLayers)) return std::nullopt;
    name.remove_prefix(kLayers.size());
    std::uint32_t layer = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
    if (error != std::errc() || layer >= plan_.layers) return std::nullopt;
    name.remove_prefix(static_cast<std::size_t>(end - name.data()));
    const std::size_t dot = name.rfind('.');
    if (!name.starts_with('.') || dot == 0) return std::nullopt;
    const std::string_view part = name.substr(1, dot - 1);
    const std::string_view kind = name.substr(dot);
    const auto ours = layer_name(part);
    const bool bias = kind == ".bias" && plan_.qkv_bias;
    if (ours.empty() || (kind != ".weight" && !bias)) return std::nullopt;
    return cat("blk.", layer, ".", ours, kind);
  }

  std::string_view layer_name(std::string_view part) const {
    if (part == "post_attention_layernorm") {
      return plan_.post_norms ? "post_attention_norm" : "ffn_norm";
    }
    const auto* const found = std::ranges::find(kLayerNames, part, &LayerName::theirs);
    return found == std::end(kLayerNames) ? std::string_view() : found->ours;
  }

  Result<void> add(const std::string& name, const SafeTensor& tensor) {
    ImportedTensor made{.name = name, .source = &tensor};
    made.matrix = tensor.shape.size() == 2;
    if (tensor.shape.empty() || tensor.shape.size() > 2 || tensor.elements() == 0) {
      return Error{ErrorCode::kCorrupt,
                   cat("the tensor ", printable(tensor.name), " is no vector and no matrix")};
    }
    made.rows = made.matrix ? tensor.shape[0] : 1;
    made.columns = tensor.shape.back();
    made.plus_one = plan_.norms_plus_one && name.ends_with("norm.weight");
    if (plan_.rope_order == RopeOrder::kAdjacentPairs) {
      if (name.ends_with("attn_q.weight")) made.pair_heads = plan_.heads;
      if (name.ends_with("attn_k.weight")) made.pair_heads = plan_.kv_heads;
    }
    if (made.pair_heads != 0 && made.rows % (2 * std::uint64_t{made.pair_heads}) != 0) {
      return Error{ErrorCode::kCorrupt, cat("the tensor ", printable(tensor.name), " has ",
                                            made.rows, " rows for ", made.pair_heads, " heads")};
    }
    made.ternary =
        plan_.ternary != TernaryStorage::kNone && made.matrix && name.starts_with("blk.");
    if (made.ternary && tensor.dtype == Dtype::kU8) {
      COPPICE_TRY(unpack(made));
    } else if (!float_type(tensor)) {
      return Error{ErrorCode::kUnsupported,
                   cat("the tensor ", printable(tensor.name), " is stored as ",
                       dtype_name(tensor.dtype), ", and F32, F16 and BF16 are read")};
    }
    made_.push_back(std::move(made));
    return {};
  }

  Result<void> unpack(ImportedTensor& made) const {
    made.scale = shards_.find(made.source->name + "_scale");
    const bool known =
        plan_.ternary == TernaryStorage::kPacked || plan_.ternary == TernaryStorage::kDivided;
    if (known && made.scale != nullptr && float_type(*made.scale) && made.scale->elements() == 1) {
      made.rows *= kValuesAByte;
      return {};
    }
    return Error{ErrorCode::kUnsupported, cat("the tensor ", printable(made.source->name),
                                              " is packed without a scale of its own")};
  }

  const ImportShards& shards_;
  const ImportPlan& plan_;
  std::vector<ImportedTensor> made_;
};

} // namespace

Result<ImportShards> ImportShards::open(const fs::path& folder) {
  ImportShards made;
  const auto index = COPPICE_TRY(read_json_if(folder / "model.safetensors.index.json"));
  if (!index) {
    COPPICE_TRY(made.add(folder / "model.safetensors"));
    return made;
  }
  const Json* map = COPPICE_TRY(json_object(*index, "weight_map"));
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    const auto name = text_of(file);
    if (!name || !name->ends_with(".safetensors") || name->find('/') != std::string::npos) {
      return Error{ErrorCode::kCorrupt, cat(folder.string(),
                                            ": model.safetensors.index.json names no file of the "
                                            "folder for ",
                                            printable(tensor))};
    }
    names.insert(*name);
  }
  for (const std::string& name : names) COPPICE_TRY(made.add(folder / name));
  for (const auto& [tensor, file] : map->items()) {
    if (made.find(tensor) == nullptr) {
      return Error{ErrorCode::kNotFound,
                   cat(folder.string(), ": the tensor ", printable(tensor), " is in no file")};
    }
  }
  return made;
}

Result<void> ImportShards::add(const fs::path& path) {
  files_.push_back(COPPICE_TRY(SafetensorsFile::open(path)));
  for (const SafeTensor& tensor : files_.back().tensors()) {
    if (!by_name_.emplace(tensor.name, &tensor).second) {
      return Error{ErrorCode::kAlreadyExists,
                   cat(path.string(), ": the tensor ", printable(tensor.name), " is in two files")};
    }
    tensors_.push_back(&tensor);
  }
  return {};
}

const SafeTensor* ImportShards::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

void ImportedTensor::read_row(std::uint64_t row, TernaryStorage storage, float magnitude,
                              std::span<float> out) const {
  if (pair_heads != 0) row = half_split_row(row, rows / pair_heads);
  if (scale != nullptr) {
    // Byte (row mod a quarter of the rows, column) holds four rows' weights plus one.
    const std::uint64_t packed_rows = rows / kValuesAByte;
    const auto shift = static_cast<unsigned>(row / packed_rows * 2);
    const std::uint8_t* const bytes = source->data.data() + row % packed_rows * columns;
    for (std::size_t i = 0; i < columns; ++i) {
      out[i] = (static_cast<float>(bytes[i] >> shift & 3U) - 1.0F) * magnitude;
    }
    return;
  }
  read_floats(*source, row * columns, out);
  for (float& value : out) {
    if (plus_one) value += 1.0F;
    if (ternary && storage == TernaryStorage::kMaster) {
      value = std::clamp(std::nearbyint(value / magnitude), -1.0F, 1.0F) * magnitude;
    }
  }
}

Result<float> ImportedTensor::magnitude(TernaryStorage storage) const {
  if (scale != nullptr) {
    float value = 0.0F;
    read_floats(*scale, 0, std::span(&value, 1));
    const float factor = storage == TernaryStorage::kDivided ? 1.0F / value : value;
    if (std::isfinite(factor)) return factor;
    return Error{ErrorCode::kCorrupt, cat("the scale of ", name, " is no finite number")};
  }
  if (!ternary || storage != TernaryStorage::kMaster) return 1.0F;
  double sum = 0.0;
  std::vector<float> row(columns);
  for (std::uint64_t i = 0; i < rows; ++i) {
    read_floats(*source, i * columns, row);
    for (const float value : row) sum += std::abs(double{value});
  }
  return std::max(static_cast<float>(sum / static_cast<double>(rows * columns)), 1e-5F);
}

Result<std::vector<ImportedTensor>> plan_tensors(const ImportShards& shards,
                                                 const ImportPlan& plan) {
  return TensorPlanner(shards, plan).run();
}

} // namespace coppice
