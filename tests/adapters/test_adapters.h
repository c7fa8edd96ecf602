// SPDX-License-Identifier: Apache-2.0
// Small specs and random adapters for the tests of adapters/, and a folder that goes away.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "adapters/adapter.h"
#include "adapters/peft_adapter.h"
#include "base/file.h"

namespace coppice {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "coppice-adapters-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The modules of a llama with 2 layers: width 12, 3 heads of width 4 (1 for k and v), 20 in the
// feed-forward.
inline AdaptableModules small_modules() {
  AdaptableModules modules;
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    modules.push_back({.tensor = layer + "attn_q", .in = 12, .out = 12, .rope_heads = 3});
    modules.push_back({.tensor = layer + "attn_k", .in = 12, .out = 4, .rope_heads = 1});
    modules.push_back({.tensor = layer + "attn_v", .in = 12, .out = 4});
    modules.push_back({.tensor = layer + "attn_output", .in = 12, .out = 12});
    modules.push_back({.tensor = layer + "ffn_gate", .in = 12, .out = 20});
    modules.push_back({.tensor = layer + "ffn_up", .in = 12, .out = 20});
    modules.push_back({.tensor = layer + "ffn_down", .in = 20, .out = 12});
  }
  return modules;
}

inline AdapterSpec small_spec(std::uint32_t rank = 2, float alpha = 4) {
  AdapterSpec spec{.architecture = "llama", .targets = small_modules()};
  for (AdapterTarget& target : spec.targets) {
    target.rank = rank;
    target.alpha = alpha;
  }
  return spec;
}

inline std::shared_ptr<const AdapterSpec> share(AdapterSpec spec) {
  return std::make_shared<const AdapterSpec>(std::move(spec));
}

// Every value in [-1, 1), none of them zero by chance alone.
inline Adapter random_adapter(AdapterSpec spec, std::uint64_t seed) {
  Adapter adapter(share(std::move(spec)));
  KeyedRandom random({.experiment = seed});
  for (float& value : adapter.values()) value = 2.0F * random.uniform_float() - 1.0F;
  return adapter;
}

inline std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  KeyedRandom random({.experiment = seed});
  std::vector<float> values(count);
  for (float& value : values) value = 2.0F * random.uniform_float() - 1.0F;
  return values;
}

inline bool same_bits(std::span<const float> left, std::span<const float> right) {
  return left.size() == right.size() &&
         std::memcmp(left.data(), right.data(), left.size_bytes()) == 0;
}

inline fs::path shared_data() { return fs::path(COPPICE_SOURCE_DIR) / "../shared/data"; }

} // namespace coppice
