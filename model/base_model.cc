// SPDX-License-Identifier: Apache-2.0
#include "model/base_model.h"

#include <algorithm>
#include <unordered_set>

#include "base/text.h"
#include "model/model_config.h"
#include "model/weight_rows.h"

namespace coppice {
namespace {

// What divides RoPE's frequencies: no weights, so not counted among them.
constexpr char kRopeTable[] = "rope_freqs.weight";
constexpr char kLongTable[] = "rope_factors_long.weight";
constexpr char kShortTable[] = "rope_factors_short.weight";
constexpr char kAllLinear[] = "all-linear";

// A linear layer that may carry LoRA: its name in GGUF files and in PEFT's, and its shape.
struct Linear {
  const char* tensor;
  const char* peft;
  std::uint32_t in;
  std::uint32_t out;
  std::uint32_t rope_heads = 0; // of rows that lie in pairs
};

// Of a block, in the order of adapters.
std::vector<Linear> linears_of(const ModelConfig& config) {
  const std::uint32_t d = config.width;
  const std::uint32_t f = config.feed_forward;
  const std::uint32_t q = config.heads * config.head_width;
  const std::uint32_t kv = config.kv_heads * config.head_width;
  const bool pairs = config.rope_order == RopeOrder::kAdjacentPairs;
  std::vector<Linear> linears;
  if (config.fused_qkv) {
    linears.push_back({"attn_qkv", "qkv_proj", d, q + 2 * kv});
  } else {
    linears.push_back({"attn_q", "q_proj", d, q, pairs ? config.heads : 0});
    linears.push_back({"attn_k", "k_proj", d, kv, pairs ? config.kv_heads : 0});
    linears.push_back({"attn_v", "v_proj", d, kv});
  }
  linears.push_back({"attn_output", "o_proj", q, d});
  if (config.fused_gate_up) {
    linears.push_back({"ffn_up", "gate_up_proj", d, 2 * f});
  } else {
    linears.push_back({"ffn_gate", "gate_proj", d, f});
    linears.push_back({"ffn_up", "up_proj", d, f});
  }
  linears.push_back({"ffn_down", "down_proj", f, d});
  return linears;
}

// A vector of a block, with its name in the file.
struct BlockVector {
  const char* tensor;
  std::uint32_t width;
};

std::vector<BlockVector> vectors_of(const ModelConfig& config) {
  const std::uint32_t q = config.heads * config.head_width;
  const std::uint32_t kv = config.kv_heads * config.head_width;
  std::vector<BlockVector> vectors = {{"attn_norm.weight", config.width},
                                      {"ffn_norm.weight", config.width}};
  const auto add = [&vectors](bool wanted, std::initializer_list<BlockVector> more) {
    if (wanted) vectors.insert(vectors.end(), more);
  };
  add(config.qkv_bias, {{"attn_q.bias", q}, {"attn_k.bias", kv}, {"attn_v.bias", kv}});
  add(config.qk_norm,
      {{"attn_q_norm.weight", config.head_width}, {"attn_k_norm.weight", config.head_width}});
  add(config.post_norms,
      {{"post_attention_norm.weight", config.width}, {"post_ffw_norm.weight", config.width}});
  add(config.sub_norms,
      {{"attn_sub_norm.weight", q}, {"ffn_sub_norm.weight", config.feed_forward}});
  return vectors;
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
    const std::vector<std::uint64_t> shape = weight_dims(file_, *tensor);
    if (shape != dims) {
      return Error{ErrorCode::kCorrupt, cat(file_.name(), ": ", name, " has the shape ",
                                            dims_text(shape), ", and the configuration implies ",
                                            dims_text(dims), "; get the file again")};
    }
    COPPICE_TRY(WeightRows::open(file_, name));
    known_.insert(tensor->name);
    return {};
  }

  Result<void> expect_no_more() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (known_.contains(tensor.name) || !matrix_of_companion(file_, tensor.name).empty()) {
        continue;
      }
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
  if (config.rope.short_context != 0) {
    COPPICE_TRY(check.expect(kLongTable, {config.rope_width / 2}));
    COPPICE_TRY(check.expect(kShortTable, {config.rope_width / 2}));
  } else if (file.has_tensor(kRopeTable)) {
    COPPICE_TRY(check.expect(kRopeTable, {config.rope_width / 2}));
  }
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    for (const BlockVector& vector : vectors_of(config)) {
      COPPICE_TRY(check.expect(cat("blk.", layer, ".", vector.tensor), {vector.width}));
    }
    for (const Linear& linear : linears_of(config)) {
      COPPICE_TRY(
          check.expect(cat("blk.", layer, ".", linear.tensor, ".weight"), {linear.in, linear.out}));
    }
  }
  return check.expect_no_more();
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
    const bool table =
        tensor.name == kRopeTable || tensor.name == kLongTable || tensor.name == kShortTable;
    if (!table) elements += weight_count(file_, tensor);
  }
  return elements;
}

AdaptableModules BaseModel::adaptable_modules() const {
  AdaptableModules modules;
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    for (const Linear& linear : linears_of(config_)) {
      modules.push_back({.tensor = cat("blk.", layer, ".", linear.tensor),
                         .in = linear.in,
                         .out = linear.out,
                         .rope_heads = linear.rope_heads});
    }
  }
  return modules;
}

Result<AdapterSpec> BaseModel::make_spec(std::uint32_t rank, float alpha, LoraScaling scaling,
                                         std::span<const std::string> targets) const {
  const std::vector<Linear> linears = linears_of(config_);
  std::vector<std::string> names = {kAllLinear};
  for (const Linear& linear : linears) names.emplace_back(linear.peft);
  std::unordered_set<std::string> wanted;
  for (const std::string& target : targets) {
    bool found = false;
    for (const Linear& linear : linears) {
      if (target != kAllLinear && target != linear.peft) continue;
      wanted.insert(linear.tensor);
      found = true;
    }
    if (found) continue;
    const std::string near = nearest_name(target, names);
    return Error{ErrorCode::kInvalidArgument,
                 cat("there is no target module ", target, " in this model",
                     near.empty() ? std::string() : cat("; did you mean ", near, "?"), " (it has ",
                     join(names, ", "), ")")};
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
