// SPDX-License-Identifier: Apache-2.0
// The rotary embedding that a config.json asks for, as GGUF's keys and tables; private to the
// import.
#pragma once

#include "model/import_files.h"

namespace coppice {

struct RopeShape {
  std::string_view architecture;
  std::uint32_t head_width = 0;
  std::uint32_t context = 0;
};

struct ImportedRope {
  GgufEntries keys; // without the architecture before them
  std::vector<std::pair<std::string, std::vector<float>>> tables;
};

// Linear scaling, Llama 3's (as rope_freqs.weight) and LongRoPE are known; kUnsupported for others.
// Both of config.json's forms are read: rope_theta and rope_scaling, and rope_parameters.
Result<ImportedRope> import_rope(const Json& config, const RopeShape& shape);

} // namespace coppice
