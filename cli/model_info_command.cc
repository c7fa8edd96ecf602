// SPDX-License-Identifier: Apache-2.0
// `coppice model info`: what a base model's file holds.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "crypto/hash.h"
#include "model/base_model.h"
#include "model/chat_template.h"
#include "model/model_info.h"

namespace coppice {
namespace {

struct ModelInfoOptions {
  std::string model;
  bool tensors = false;
};

Json shapes_json(const ModelConfig& config) {
  return {{"layers", config.layers},         {"width", config.width},
          {"heads", config.heads},           {"kv_heads", config.kv_heads},
          {"head_width", config.head_width}, {"feed_forward", config.feed_forward},
          {"vocabulary", config.vocabulary}, {"context", config.context},
          {"rope_base", config.rope.base},   {"tied_output", config.tied_output}};
}

// What sets the architecture apart from a plain llama, in words.
std::vector<std::string> features_of(const ModelConfig& config) {
  std::vector<std::string> features;
  const auto add = [&features](bool present, std::string text) {
    if (present) features.push_back(std::move(text));
  };
  add(config.fused_qkv, "q, k and v in one matrix");
  add(config.fused_gate_up, "gate and up in one matrix");
  add(config.qkv_bias, "biases on q, k and v");
  add(config.qk_norm, "norms of q and k");
  add(config.post_norms, "norms after the blocks");
  add(config.sub_norms, "norms inside the blocks");
  add(config.activation != Activation::kSilu, std::string(activation_name(config.activation)));
  add(config.window > 0 && config.global_every != 1,
      cat("window of ", config.window, " tokens in ",
          config.global_every == 0
              ? std::string("all layers")
              : cat(config.global_every - 1, " of ", config.global_every, " layers")));
  add(config.unrotated_every != 0, cat("no RoPE in 1 of ", config.unrotated_every, " layers"));
  add(config.rope_width != config.head_width,
      cat("RoPE on ", config.rope_width, " of ", config.head_width, " columns"));
  add(config.rope.linear_factor != 1.0F, cat("positions divided by ", config.rope.linear_factor));
  add(config.rope.short_context != 0,
      cat("LongRoPE beyond ", config.rope.short_context, " tokens"));
  add(config.has_local_rope, cat("RoPE of base ", config.local_rope.base, " in windows"));
  add(config.attention_cap > 0, cat("scores capped at ", config.attention_cap));
  add(config.output_cap > 0, cat("logits capped at ", config.output_cap));
  return features;
}

std::string dims_text(const std::vector<std::uint64_t>& dims) {
  std::vector<std::string> parts;
  for (const std::uint64_t dim : dims) parts.push_back(std::to_string(dim));
  return join(parts, " x ");
}

Json tensors_json(const GgufFile& file) {
  Json list = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    list.push_back({{"name", tensor.name},
                    {"type", block_type_name(tensor.type)},
                    {"shape", tensor.dims},
                    {"bytes", tensor.data.size()}});
  }
  return list;
}

void print_summary(Console& console, const BaseModel& base, const Sha256& hash) {
  const ModelConfig& config = base.config();
  const GgufFile& file = base.file();
  const auto line = [&console](std::string_view name, const std::string& value) {
    console.print(cat(name, std::string(16 - name.size(), ' '), value));
  };
  line("file",
       cat(base.path().string(), ", ", human_bytes(static_cast<double>(file.bytes().size())),
           ", GGUF v", file.version()));
  line("architecture", config.architecture);
  line("parameters", grouped(base.parameters()));
  line("quantization",
       cat(quantization_summary(file), ", ", fixed(bits_per_weight(file), 2), " bits a weight"));
  line("tokenizer", cat(base.tokenizer().kind(), ", ", grouped(config.vocabulary), " tokens"));
  line("chat format", std::string(chat_family_name(detect_chat_family(base))));
  line("layers", cat(config.layers));
  line("width", cat(config.width, ", feed-forward ", config.feed_forward));
  line("heads",
       cat(config.heads, " of ", config.head_width, ", ", config.kv_heads, " for keys and values"));
  line("context", cat(grouped(config.context), " tokens"));
  const std::vector<std::string> features = features_of(config);
  if (!features.empty()) line("features", join(features, ", "));
  line("output", config.tied_output ? "shares the embedding's weights" : "has weights of its own");
  line("SHA-256", hash.hex());
}

Result<ExitCode> show_model(Context& context, const ModelInfoOptions& options) {
  const auto base = COPPICE_TRY(BaseModel::open(options.model));
  const Sha256 hash = COPPICE_TRY(sha256_file(options.model));
  const GgufFile& file = base->file();
  Console& console = context.console;
  print_summary(console, *base, hash);

  Table types({{"stored as"},
               {"tensors", Align::kRight},
               {"weights", Align::kRight},
               {"size", Align::kRight}});
  Json types_json = Json::array();
  for (const StorageShare& share : storage_shares(file)) {
    types.add_row({std::string(share.type), cat(share.tensors), grouped(share.elements),
                   human_bytes(static_cast<double>(share.bytes))});
    types_json.push_back({{"type", share.type},
                          {"tensors", share.tensors},
                          {"elements", share.elements},
                          {"bytes", share.bytes}});
  }
  console.print();
  console.write(types.render());
  if (options.tensors) {
    Table table({{"tensor"}, {"type"}, {"shape"}, {"size", Align::kRight}});
    for (const GgufTensor& tensor : file.tensors()) {
      table.add_row({tensor.name, std::string(block_type_name(tensor.type)), dims_text(tensor.dims),
                     human_bytes(static_cast<double>(tensor.data.size()))});
    }
    console.print();
    console.write(table.render());
  }
  console.finish("coppice.model_info.v1",
                 Json{{"file", options.model},
                      {"bytes", file.bytes().size()},
                      {"architecture", base->config().architecture},
                      {"parameters", base->parameters()},
                      {"quantization", quantization_summary(file)},
                      {"bits_per_weight", bits_per_weight(file)},
                      {"tokenizer", base->tokenizer().kind()},
                      {"chat_format", chat_family_name(detect_chat_family(*base))},
                      {"sha256", hash.hex()},
                      {"shapes", shapes_json(base->config())},
                      {"features", features_of(base->config())},
                      {"types", std::move(types_json)},
                      {"tensors", tensors_json(file)}});
  return ExitCode::kOk;
}

} // namespace

void add_model_info_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ModelInfoOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "info",
                   .summary = "Architecture, shapes, quantization, tokenizer, sizes and hash",
                   .example = "coppice model info base.gguf\n"
                              "coppice model info base.gguf --tensors"},
                  [options](Context& at) { return show_model(at, *options); });
  command.add_option("FILE,-m,--model", options->model, "The base model's GGUF file")
      .type_name("FILE")
      .required();
  command.add_flag("--tensors", options->tensors, "List every tensor with its type and shape");
}

} // namespace coppice
