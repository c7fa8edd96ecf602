// SPDX-License-Identifier: Apache-2.0
#include "aggregator/strategy.h"

namespace coppice {

Result<void> Strategy::step_by_slot(const RoundInput& round, StrategyState& state,
                                    const TakeSlot& take) const {
  const std::vector<double> whole = COPPICE_TRY(step(round, state));
  if (whole.size() != round.current.values().size()) {
    return Error{ErrorCode::kInternal, "a strategy's step has another size than the adapter"};
  }
  std::size_t at = 0;
  for (const AdapterTarget& target : round.current.spec().targets) {
    for (const std::size_t size : {target.a_elements(), target.b_elements()}) {
      COPPICE_TRY(take(std::span(whole).subspan(at, size)));
      at += size;
    }
  }
  return {};
}

} // namespace coppice
