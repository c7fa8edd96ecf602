// SPDX-License-Identifier: Apache-2.0
// The one table of what architectures do differently; private to model/.
#pragma once

#include <string>
#include <string_view>

#include "model/base_model.h"

namespace coppice {

struct Architecture {
  // Its name, its differences, and what holds where a file lacks the key; no shape is set.
  ModelConfig config;
  bool scales_embedding = false; // by sqrt(d)
  // Files of so many layers divide scores by sqrt(d / h) in place of sqrt(head_width): no key says
  // so. 0: none do.
  std::uint32_t wide_scores_layers = 0;
};

// By general.architecture; nullptr where it isn't computed here.
const Architecture* find_architecture(std::string_view name);
std::string known_architectures(); // "llama, qwen2, ..."

} // namespace coppice
