// SPDX-License-Identifier: Apache-2.0
#include "cli/model_options.h"

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "cli/engine_choice.h"
#include "config/units.h"

namespace coppice {
namespace {

constexpr char kBfloat16[] = "bfloat16";
constexpr char kFloat32[] = "float32";
constexpr char kQuick[] = "quick";

} // namespace

void add_model_option(CommandOptions& command, ModelOptions& options, bool required) {
  command.add_option("-m,--model", options.model, "The base model's GGUF file")
      .type_name("FILE")
      .required(required);
}

void add_adapter_options(CommandOptions& command, ModelOptions& options, const char* help) {
  command.add_option("--adapter,--lora", options.adapters, help)
      .type_name("PATH")
      .allow_extra_args(false);
  add_rows_option(command, options);
}

void add_rows_option(CommandOptions& command, ModelOptions& options) {
  command
      .add_option("--rows", options.rows,
                  "Order of q's and k's rows in PEFT folders: hf, as PEFT writes them, or gguf, as "
                  "the base file has them")
      .type_name("ORDER")
      .capture_default_str();
}

void add_threads_option(CommandOptions& command, ModelOptions& options) {
  command.add_option("-t,--threads", options.threads, "Threads that compute")
      .type_name("N")
      .check(in_range(1U, 1024U))
      .default_str("one a core");
}

void add_device_option(CommandOptions& command, ModelOptions& options) {
  command
      .add_option("--device", options.device,
                  "Where the engine graph computes: cpu, or a GPU by its number, cuda:0")
      .type_name("NAME")
      .capture_default_str();
}

void add_compute_options(CommandOptions& command, ModelOptions& options) {
  add_threads_option(command, options);
  add_engine_option(command, options.engine);
  command
      .add_option(
          "--precision", options.precision,
          "What the native engine rounds the inputs of products to: bfloat16, on training's "
          "way back, where the processor multiplies it; quick: that, on the way there too, in "
          "three quarters of the time; float32: nothing, in twice the time")
      .type_name("TYPE")
      .check(one_of({kBfloat16, kFloat32, kQuick}))
      .capture_default_str();
}

void add_memory_option(CommandOptions& command, ModelOptions& options) {
  command
      .add_option("--memory", options.memory,
                  "Memory of a training step beside the weights and the adapter: 256MB, 1GiB; with "
                  "less, more is computed twice")
      .type_name("SIZE")
      .capture_default_str();
}

Result<EngineOptions> engine_options(const ModelOptions& options) {
  return EngineOptions{.threads = threads_of(options),
                       .activation_bytes = COPPICE_TRY(parse_size(options.memory)),
                       .precision = precision_named(options.precision),
                       .device = options.device};
}

unsigned threads_of(const ModelOptions& options) {
  return options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

std::vector<AdapterUse> OpenModel::uses() const {
  std::vector<AdapterUse> list;
  for (const Adapter& adapter : adapters) list.push_back({&adapter, 1.0F});
  return list;
}

Result<std::shared_ptr<const BaseModel>> open_base(const ModelOptions& options) {
  return BaseModel::open(options.model);
}

Result<OpenModel> open_model(const ModelOptions& options) {
  const PeftRows rows = COPPICE_TRY(parse_rows(options.rows));
  OpenModel model;
  model.base = COPPICE_TRY(open_base(options));
  for (const std::string& path : options.adapters) {
    model.adapters.push_back(COPPICE_TRY(load_adapter(path, model.base.get(), rows)).adapter);
  }
  model.engine =
      COPPICE_TRY(open_engine(options.engine, model.base, COPPICE_TRY(engine_options(options))));
  return model;
}

} // namespace coppice
