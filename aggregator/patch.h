// SPDX-License-Identifier: Apache-2.0
// Note [Patch]
// FLoRA and FedEx-LoRA add to the base what the next factors don't hold. A quantized base can't be
// added to: what is smaller than half a step of its grid would vanish. So the release carries it:
// its adapter has rank r + p, devices train and send the first r ranks (Recipe::trained_rank), and
// the p above them are the patch, frozen on devices and rewritten by the strategy. To everything
// else a release is a LoRA adapter like any other: it is gated, served and exported as such.
//
// alpha grows with the rank, so that s = alpha / r (or alpha / sqrt r) stays what [lora] says.
// Pure functions; thread-safe.
#pragma once

#include "adapters/adapter.h"
#include "aggregator/settings.h"

namespace coppice {

// p: strategy.patch_rank, or twice lora.r where that is 0; 0 for strategies without a patch.
std::uint32_t patch_rank(const AggregatorSettings& settings);

// Version 0 out of an adapter of rank r: a patch of zeros above each target's ranks. The adapter
// itself for a rank of 0. kInvalidArgument where a target is too narrow for r + p.
Result<Adapter> with_patch(const Adapter& adapter, std::uint32_t patch_rank);

// A start from scratch in the shape of such an adapter: Adapter::initial in the ranks below, zeros
// in the patch. Training moves no zero of both factors, whatever is trained.
Adapter initial_below_patch(std::shared_ptr<const AdapterSpec> spec, std::uint32_t patch_rank,
                            std::uint64_t seed);

// r of such an adapter; 0 (all of it) for a patch of rank 0. kFailedPrecondition for an adapter
// that wasn't begun with that patch, or whose targets have unlike ranks.
Result<std::uint32_t> trained_rank(const AdapterSpec& spec, std::uint32_t patch_rank);

} // namespace coppice
