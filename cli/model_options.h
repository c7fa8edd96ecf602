// SPDX-License-Identifier: Apache-2.0
// --model, --adapter, --rows, --threads and --engine: what every command that computes has in
// common.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/command_options.h"
#include "model/adapter_files.h"
#include "model/engine.h"

namespace coppice {

struct ModelOptions {
  std::string model;
  std::vector<std::string> adapters;
  std::string rows = "hf";
  unsigned threads = 0; // 0: one for each core
  std::string engine = "native";
  std::string precision = "bfloat16";
  std::string memory = "256MB";
  std::string device = "cpu";
};

void add_model_option(CommandOptions& command, ModelOptions& options, bool required = true);
void add_adapter_options(CommandOptions& command, ModelOptions& options, const char* help);
void add_rows_option(CommandOptions& command, ModelOptions& options);
void add_threads_option(CommandOptions& command, ModelOptions& options);
// --device: where the LibTorch engine computes
void add_device_option(CommandOptions& command, ModelOptions& options);
// --threads and --engine
void add_compute_options(CommandOptions& command, ModelOptions& options);

unsigned threads_of(const ModelOptions& options);

// Opened: the base, an engine over it, and the adapters in the order of the line.
struct OpenModel {
  std::shared_ptr<const BaseModel> base;
  std::unique_ptr<Engine> engine;
  std::vector<Adapter> adapters;
  std::vector<AdapterUse> uses() const; // valid while this object stays where it is
};
// --memory
void add_memory_option(CommandOptions& command, ModelOptions& options);

Result<EngineOptions> engine_options(const ModelOptions& options);
Result<std::shared_ptr<const BaseModel>> open_base(const ModelOptions& options);
Result<OpenModel> open_model(const ModelOptions& options);

} // namespace coppice
