// SPDX-License-Identifier: Apache-2.0
// The table of strategies. A new one is a file, a declaration in strategy.h, and a line here.
#include <array>

#include "aggregator/strategy.h"
#include "base/text.h"

namespace coppice {

const char* need_name(Need need) {
  switch (need) {
    case Need::kSum: return "Sum";
    case Need::kMultiPassSum: return "MultiPassSum";
    case Need::kGroupSum: return "GroupSum";
    case Need::kIndividual: return "Individual";
  }
  return "unknown";
}

std::span<const StrategyEntry> all_strategies() {
  static const std::array kTable{
      StrategyEntry{"fedavg", fedavg()},
  };
  return kTable;
}

Result<const Strategy*> find_strategy(std::string_view name, bool secure_aggregation) {
  std::vector<std::string> names;
  for (const auto& entry : all_strategies()) {
    names.emplace_back(entry.name);
    if (name != entry.name) continue;
    if (secure_aggregation && entry.strategy.need() == Need::kIndividual) {
      return Error{
          ErrorCode::kFailedPrecondition,
          cat("strategy '", name,
              "' needs every device's own delta, and secure aggregation "
              "hides exactly that; choose a strategy of need Sum, or switch one of them off")};
    }
    return &entry.strategy;
  }
  const std::string nearest = nearest_name(name, names);
  return Error{ErrorCode::kInvalidArgument,
               cat("unknown strategy '", name, "'; ",
                   nearest.empty() ? cat("known: ", join(names, ", "))
                                   : cat("did you mean '", nearest, "'?"))};
}

} // namespace coppice
