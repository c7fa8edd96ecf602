// SPDX-License-Identifier: Apache-2.0
#include "aggregator/version_zero.h"

#include "adapters/rank_slices.h"
#include "aggregator/patch.h"
#include "base/text.h"

namespace coppice {

std::uint32_t cluster_count(const AggregatorSettings& settings) {
  const StrategyEntry* const entry = find_strategy(settings.strategy.name);
  return entry != nullptr && entry->clusters ? settings.strategy.clusters : 1;
}

Result<Adapter> version_zero(const Adapter& adapter, const AggregatorSettings& settings) {
  const std::uint32_t clusters = cluster_count(settings);
  if (clusters == 1) return with_patch(adapter, patch_rank(settings));
  auto fits = sliced_spec(adapter.spec(), clusters).validate();
  if (!fits.ok()) {
    return std::move(fits).error().with_context(
        cat("the strategy keeps ", clusters,
            " adapters of lora.r ranks in one; lower lora.r or strategy.clusters"));
  }
  return repeat_as_slices(adapter, clusters);
}

Result<void> check_shape(const AdapterSpec& spec, const AggregatorSettings& settings) {
  COPPICE_TRY(trained_rank(spec, patch_rank(settings)));
  const std::uint32_t clusters = cluster_count(settings);
  const std::uint32_t rank = spec.targets.front().rank;
  if (clusters == 1 || rank == clusters * settings.lora.r) return {};
  return Error{ErrorCode::kFailedPrecondition,
               cat("the adapter has rank ", rank, ", and ", clusters,
                   " clusters of lora.r = ", settings.lora.r, " need ", clusters * settings.lora.r,
                   ": begin a fleet with this strategy and these settings, so that version 0 has "
                   "them, or choose another strategy")};
}

Adapter fresh_start(const std::shared_ptr<const AdapterSpec>& spec,
                    const AggregatorSettings& settings, std::uint64_t seed) {
  const std::uint32_t clusters = cluster_count(settings);
  if (clusters == 1) return initial_below_patch(spec, patch_rank(settings), seed);
  return Adapter::initial(std::make_shared<const AdapterSpec>(slice_spec(*spec, clusters)), seed);
}

} // namespace coppice
