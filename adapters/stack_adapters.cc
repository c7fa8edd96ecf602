// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "adapters/gguf_adapter.h"
#include "adapters/module_names.h"
#include "base/text.h"

namespace coppice {
namespace {

struct Part {
  const Adapter* adapter;
  std::size_t target;
  const AdapterTarget& shape() const { return adapter->spec().targets[target]; }
};

// Specs' order: modules of a block by layer and kind, others after them by name.
struct TargetKey {
  bool unknown;
  ModuleName module;
  std::string tensor;
  auto operator<=>(const TargetKey&) const = default;
};
using Parts = std::map<TargetKey, std::vector<Part>>;

Result<Parts> collect_parts(std::span<const Adapter* const> adapters) {
  Parts parts;
  for (const Adapter* adapter : adapters) {
    if (adapter->spec().architecture != adapters[0]->spec().architecture) {
      return invalid_argument(cat("adapters for ", adapters[0]->spec().architecture, " and for ",
                                  adapter->spec().architecture, " can't be one adapter"));
    }
    for (std::size_t t = 0; t < adapter->targets(); ++t) {
      const AdapterTarget& target = adapter->spec().targets[t];
      const auto module = module_from_gguf(target.tensor, adapter->spec().architecture);
      auto& same = parts[{!module.has_value(), module.value_or(ModuleName{}), target.tensor}];
      if (!same.empty()) {
        const AdapterTarget& first = same.front().shape();
        if (first.in != target.in || first.out != target.out ||
            first.rope_heads != target.rope_heads) {
          return invalid_argument(cat(target.tensor, " has ", first.out, " x ", first.in,
                                      " weights for one adapter and ", target.out, " x ", target.in,
                                      " for another: they were made for different bases"));
        }
      }
      same.push_back({adapter, t});
    }
  }
  return parts;
}

AdapterTarget stacked_target(const std::vector<Part>& parts) {
  AdapterTarget target = parts.front().shape();
  target.rank = 0;
  for (const Part& part : parts) target.rank += part.shape().rank;
  target.alpha = static_cast<float>(target.rank);
  return target;
}

// a: (sum of ranks, in), b: (out, sum of ranks).
void stack_parts(const std::vector<Part>& parts, std::span<float> a, std::span<float> b) {
  const std::size_t total = a.size() / parts.front().shape().in;
  std::size_t before = 0; // ranks of the parts already placed
  for (const Part& part : parts) {
    const AdapterTarget& shape = part.shape();
    const float scale = part.adapter->spec().scale(part.target);
    std::ranges::copy(part.adapter->a(part.target), a.subspan(before * shape.in).begin());
    const auto from = part.adapter->b(part.target);
    for (std::size_t row = 0; row < shape.out; ++row) {
      for (std::size_t k = 0; k < shape.rank; ++k) {
        b[row * total + before + k] = scale * from[row * shape.rank + k];
      }
    }
    before += shape.rank;
  }
}

} // namespace

Result<Adapter> stack_adapters(std::span<const Adapter* const> adapters) {
  if (adapters.empty()) return invalid_argument("there are no adapters to make one of");
  const Parts parts = COPPICE_TRY(collect_parts(adapters));
  AdapterSpec spec{.architecture = adapters[0]->spec().architecture, .targets = {}};
  for (const auto& [key, same] : parts) spec.targets.push_back(stacked_target(same));
  COPPICE_TRY(spec.validate());
  Adapter stacked(std::make_shared<const AdapterSpec>(std::move(spec)));
  std::size_t t = 0;
  for (const auto& [key, same] : parts) {
    stack_parts(same, stacked.a(t), stacked.b(t));
    ++t;
  }
  return stacked;
}

} // namespace coppice
