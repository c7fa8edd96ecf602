// SPDX-License-Identifier: Apache-2.0
// The shape of a fleet's adapter: that of [lora], with room for what the strategy keeps in it.
//
// A patch (aggregator/patch.h) or clusters (adapters/rank_slices.h), from version 0 on. Pure
// functions; thread-safe.
#pragma once

#include "adapters/adapter.h"
#include "aggregator/settings.h"

namespace coppice {

// Adapters in one: strategy.clusters for a strategy of clusters, else 1.
std::uint32_t cluster_count(const AggregatorSettings& settings);

// Version 0 out of an adapter of the shape of [lora]: with a patch of zeros, or as each cluster's.
// kInvalidArgument where a target is too narrow for so many ranks.
Result<Adapter> version_zero(const Adapter& adapter, const AggregatorSettings& settings);

// kFailedPrecondition for an adapter that wasn't begun so, with what to do.
Result<void> check_shape(const AdapterSpec& spec, const AggregatorSettings& settings);

// A start from scratch for one device alone: Adapter::initial where it trains.
Adapter fresh_start(const std::shared_ptr<const AdapterSpec>& spec,
                    const AggregatorSettings& settings, std::uint64_t seed);

} // namespace coppice
