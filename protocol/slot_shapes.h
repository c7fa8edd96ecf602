// SPDX-License-Identifier: Apache-2.0
// Which slots a plan has: deltas in the adapter's order, the weight, the metrics. Private to
// protocol/.
#pragma once

#include <vector>

#include "protocol/round_plan.h"

namespace coppice {

// Names, kinds and elements of the slots, metrics with their ranges, the rest without bounds and
// scales. kInvalidArgument names the first thing too large.
Result<std::vector<Slot>> slot_shapes(const AdapterSpec& spec, const Recipe& recipe,
                                      const SumTerms& sum, const EncodingTerms& encoding);

} // namespace coppice
