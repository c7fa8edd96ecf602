// SPDX-License-Identifier: Apache-2.0
// What the opaque handles of coppice.h are, and what several of its functions ask of them.
#pragma once

#include <memory>
#include <vector>

#include "adapters/adapter.h"
#include "capi/border.h"
#include "model/engine.h"

struct coppice_model {
  std::shared_ptr<const coppice::BaseModel> base;
  std::unique_ptr<coppice::Engine> engine;
  unsigned threads = 1;
};

struct coppice_adapter {
  coppice::Adapter adapter;
};

namespace coppice {

// The list as engines take it; the handles must outlive it.
inline Result<std::vector<AdapterUse>> adapter_uses(const coppice_adapter* const* adapters,
                                                    std::size_t count) {
  if (count > 0 && adapters == nullptr) return missing("adapters");
  std::vector<AdapterUse> uses;
  for (std::size_t i = 0; i < count; ++i) {
    if (adapters[i] == nullptr) return missing("an adapter of the list");
    uses.push_back({&adapters[i]->adapter, 1.0F});
  }
  return uses;
}

inline Result<std::string_view> text_argument(const char* text, std::size_t bytes) {
  if (text == nullptr && bytes > 0) return missing("the text");
  return std::string_view(text == nullptr ? "" : text, bytes);
}

} // namespace coppice
