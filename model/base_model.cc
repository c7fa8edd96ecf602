// SPDX-License-Identifier: Apache-2.0
#include "model/base_model.h"

#include <algorithm>
#include <unordered_set>

#include "base/text.h"
#include "model/model_config.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

constexpr char kRopeTable[] = "rope_freqs.weight"; // divides RoPE's frequencies

// A linear layer that may carry LoRA: its name in GGUF files and in PEFT's.
struct LinearName {
  const char* tensor;
  const char* peft;
};
constexpr LinearName kLinears[] = {
    {"attn_q", "q_proj"},      {"attn_k", "k_proj"},      {"attn_v", "v_proj"},
    {"attn_output", "o_proj"}, {"ffn_gate", "gate_proj"}, {"ffn_up", "up_proj"},
    {"ffn_down", "down_proj"},
};
constexpr char kAllLinear[] = "all-linear";

// in and out of a linear layer.
AdapterTarget linear_shape(const ModelConfig& config, std::string_view name) {
  const std::uint32_t q = config.heads * config.head_width;
  const std::uint32_t kv = config.kv_heads * config.head_width;
  AdapterTarget shape;
  shape.in = config.width;
  shape.out = config.width;
  if (name == "attn_q") shape.out = q, shape.rope_heads = config.heads;
  if (name == "attn_k") shape.out = kv, shape.rope_heads = config.kv_heads;
  if (name == "attn_v") shape.out = kv;
  if (name == "attn_output") shape.in = q;
  if (name == "ffn_gate" || name == "ffn_up") shape.out = config.feed_forward;
  if (name == "ffn_down") shape.in = config.feed_forward;
  return shape;
}

std::string dims_text(std::span<const std::uint64_t> dims) {
  std::vector<std::string> numbers;
  for (const std::uint64_t dim : dims) numbers.push_back(cat(dim));
  return join(numbers, " x ");
}

// Ticks off the tensors that the configuration implies; what is left is of a feature that isn't
// computed here, and may not be left out silently.
class TensorCheck {
 public:
  explicit TensorCheck(const GgufFile& file) : file_(file) {}

  Result<void> expect(const std::string& name, std::vector<std::uint64_t> dims) {
    const GgufTensor* tensor = COPPICE_TRY(file_.find_tensor(name));
    if (tensor->dims != dims) {
      return Error{
          ErrorCode::kCorrupt,
          cat(file_.name(), ": ", name, " has the shape ", dims_text(tensor->dims),
              ", and the configuration implies ", dims_text(dims), "; get the file again")};
    }
    if (!can_dequantize(tensor->type)) {
      return Error{ErrorCode::kUnsupported,
                   cat(file_.name(), ": ", name, " is stored as ", tensor->type,
                       ", which is not read here; F32, F16, BF16, Q8_0, Q4_0 and Q6_K are")};
    }
    known_.insert(tensor->name);
    return {};
  }

  Result<void> expect_no_more() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (known_.contains(tensor.name)) continue;
      return Error{ErrorCode::kUnsupported, cat(file_.name(), ": the tensor ", tensor.name,
                                                " belongs to a feature that is not computed here")};
    }
    return {};
  }

 private:
  const GgufFile& file_;
  std::unordered_set<std::string_view> known_;
};

Result<void> check_tensors(const GgufFile& file, const ModelConfig& config) {
  TensorCheck check(file);
  const std::uint64_t width = config.width;
  COPPICE_TRY(check.expect("token_embd.weight", {width, config.vocabulary}));
  COPPICE_TRY(check.expect("output_norm.weight", {width}));
  if (!config.tied_output) COPPICE_TRY(check.expect("output.weight", {width, config.vocabulary}));
  if (file.has_tensor(kRopeTable)) {
    COPPICE_TRY(check.expect(kRopeTable, {config.rope_width / 2}));
  }
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    COPPICE_TRY(check.expect(cat("blk.", layer, ".attn_norm.weight"), {width}));
    COPPICE_TRY(check.expect(cat("blk.", layer, ".ffn_norm.weight"), {width}));
    for (const LinearName& linear : kLinears) {
      const AdapterTarget shape = linear_shape(config, linear.tensor);
      COPPICE_TRY(
          check.expect(cat("blk.", layer, ".", linear.tensor, ".weight"), {shape.in, shape.out}));
    }
  }
  return check.expect_no_more();
}

// "" for what is no PEFT name of ours.
std::string tensor_of(std::string_view peft) {
  for (const LinearName& linear : kLinears) {
    if (peft == linear.peft) return linear.tensor;
  }
  return {};
}

} // namespace

BaseModel::BaseModel(fs::path path, GgufFile file)
    : path_(std::move(path)), file_(std::move(file)) {}

Result<std::shared_ptr<const BaseModel>> BaseModel::open(const fs::path& path) {
  auto file = COPPICE_TRY(GgufFile::open(path));
  std::shared_ptr<BaseModel> model(new BaseModel(path, std::move(file)));
  ModelConfig& config = model->config_;
  config = COPPICE_TRY(read_model_config(model->file_));
  model->tokenizer_ = COPPICE_TRY(Tokenizer::from_gguf(model->file_));
  // One row of the embedding for each token: an id of the tokenizer is always a row.
  config.vocabulary = static_cast<std::uint32_t>(model->tokenizer_->vocabulary_size());
  config.tied_output = !model->file_.has_tensor("output.weight");
  COPPICE_TRY(check_tensors(model->file_, config));
  return std::shared_ptr<const BaseModel>(std::move(model));
}

std::uint64_t BaseModel::parameters() const {
  std::uint64_t elements = 0;
  for (const GgufTensor& tensor : file_.tensors()) {
    if (tensor.name != kRopeTable) elements += tensor.elements();
  }
  return elements;
}

AdaptableModules BaseModel::adaptable_modules() const {
  AdaptableModules modules;
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    for (const LinearName& linear : kLinears) {
      modules.push_back(linear_shape(config_, linear.tensor));
      modules.back().tensor = cat("blk.", layer, ".", linear.tensor);
    }
  }
  return modules;
}

Result<AdapterSpec> BaseModel::make_spec(std::uint32_t rank, float alpha, LoraScaling scaling,
                                         std::span<const std::string> targets) const {
  std::vector<std::string> names = {kAllLinear};
  for (const LinearName& linear : kLinears) names.emplace_back(linear.peft);
  std::unordered_set<std::string> wanted;
  for (const std::string& target : targets) {
    if (target == kAllLinear) {
      for (const LinearName& linear : kLinears) wanted.insert(linear.tensor);
      continue;
    }
    const std::string tensor = tensor_of(target);
    if (tensor.empty()) {
      const std::string near = nearest_name(target, names);
      return Error{ErrorCode::kInvalidArgument,
                   cat("there is no target module ", target,
                       near.empty() ? cat("; known are ", join(names, ", "))
                                    : cat("; did you mean ", near, "?"))};
    }
    wanted.insert(tensor);
  }
  AdapterSpec spec{.architecture = config_.architecture, .scaling = scaling, .targets = {}};
  for (AdapterTarget& module : adaptable_modules()) {
    if (!wanted.contains(module.tensor.substr(module.tensor.rfind('.') + 1))) continue;
    module.rank = rank;
    module.alpha = alpha;
    spec.targets.push_back(std::move(module));
  }
  COPPICE_TRY(spec.validate());
  return spec;
}

} // namespace coppice
