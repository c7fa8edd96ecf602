// SPDX-License-Identifier: Apache-2.0
// Adapter files of the three kinds that people have: PEFT folders, llama.cpp's GGUF, and our own.
#pragma once

#include <optional>
#include <string>

#include "adapters/gguf_adapter.h"
#include "adapters/peft_adapter.h"
#include "base/file.h"
#include "model/base_model.h"

namespace coppice {

enum class AdapterFormat { kPeft, kGguf, kCoppice };
const char* adapter_format_name(AdapterFormat format); // "peft", "gguf", "coppice"
Result<AdapterFormat> parse_adapter_format(std::string_view name);
Result<PeftRows> parse_rows(std::string_view name); // "hf" or "gguf"

// By what is there: a folder with adapter_config.json, or a file's first bytes. kNotFound, or
// kUnsupported, with what would have done.
Result<AdapterFormat> detect_adapter_format(const fs::path& path);
// By how the name ends: .gguf, .coppice, else a PEFT folder.
AdapterFormat adapter_format_for_output(const fs::path& path);

struct LoadedAdapter {
  Adapter adapter;
  AdapterFormat format = AdapterFormat::kPeft;
  // Whether q's and k's rows are known to be in the base file's order, and rope_heads with them. If
  // not, the rows are as the file has them: good for norms, and for writing the same kind again.
  bool base_order = true;
};

// With the base model at hand everything is checked against it, our own files too; `rows` says what
// a PEFT folder holds. Without (`base` null) names and shapes are taken from the file itself.
Result<LoadedAdapter> load_adapter(const fs::path& path, const BaseModel* base, PeftRows rows);

// kFailedPrecondition if q and k rows would have to be reordered and the head count isn't known
// (`base_order` is false): the message says to give --model.
Result<void> save_adapter(const fs::path& path, const LoadedAdapter& loaded, AdapterFormat format,
                          const PeftWriteOptions& options);

} // namespace coppice
