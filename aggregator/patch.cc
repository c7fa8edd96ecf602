// SPDX-License-Identifier: Apache-2.0
#include "aggregator/patch.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {

std::uint32_t patch_rank(const AggregatorSettings& settings) {
  const StrategyEntry* const entry = find_strategy(settings.strategy.name);
  if (entry == nullptr || !entry->patch) return 0;
  return settings.strategy.patch_rank > 0 ? settings.strategy.patch_rank : 2 * settings.lora.r;
}

Result<Adapter> with_patch(const Adapter& adapter, std::uint32_t patch_rank) {
  if (patch_rank == 0) return adapter;
  AdapterSpec spec = adapter.spec();
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    spec.change_rank(t, spec.targets[t].rank + patch_rank);
  }
  auto fits = spec.validate();
  if (!fits.ok()) {
    return std::move(fits).error().with_context(
        cat("the strategy's patch takes ", patch_rank,
            " ranks above those of lora.r; lower strategy.patch_rank"));
  }
  Adapter made(std::make_shared<const AdapterSpec>(std::move(spec)));
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& from = adapter.spec().targets[t];
    const std::size_t rank = made.spec().targets[t].rank;
    std::ranges::copy(adapter.a(t), made.a(t).begin());
    for (std::size_t row = 0; row < from.out; ++row) {
      std::ranges::copy(adapter.b(t).subspan(row * from.rank, from.rank),
                        made.b(t).subspan(row * rank).begin());
    }
  }
  return made;
}

Adapter initial_below_patch(std::shared_ptr<const AdapterSpec> spec, std::uint32_t patch_rank,
                            std::uint64_t seed) {
  Adapter made = Adapter::initial(std::move(spec), seed);
  for (std::size_t t = 0; t < made.targets(); ++t) {
    const AdapterTarget& target = made.spec().targets[t];
    const std::size_t below = target.rank - std::min(patch_rank, target.rank);
    std::ranges::fill(made.a(t).subspan(below * target.in), 0.0F);
  }
  return made;
}

Result<std::uint32_t> trained_rank(const AdapterSpec& spec, std::uint32_t patch_rank) {
  if (patch_rank == 0) return 0U;
  const std::uint32_t rank = spec.targets.front().rank;
  for (const AdapterTarget& target : spec.targets) {
    if (target.rank != rank) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("the adapter's targets have ranks ", rank, " and ", target.rank,
                       ", and a strategy with a patch needs one rank for all")};
    }
  }
  if (rank <= patch_rank) {
    return Error{
        ErrorCode::kFailedPrecondition,
        cat("the adapter has rank ", rank, ", and the strategy keeps a patch of ", patch_rank,
            " ranks above those that are trained: begin a fleet with this strategy, so "
            "that version 0 has them, or choose another one")};
  }
  return rank - patch_rank;
}

} // namespace coppice
