// SPDX-License-Identifier: Apache-2.0
#include "aggregator/references.h"

#include <array>

namespace coppice {

std::span<const StrategyReference> strategy_references() {
  static constexpr std::array kReferences{
      StrategyReference{"local-only",
                        "each client's adapter on its own text alone, as many steps as the rounds",
                        "report.local_only",
                        "nothing leaves a device under it, so there is nothing to aggregate"},
      StrategyReference{
          "centralized", "one adapter on all clients' text together, as many tokens as the rounds",
          "report.centralized",
          "it trains on the devices' texts in one place, and they never leave devices"},
  };
  return kReferences;
}

} // namespace coppice
