// SPDX-License-Identifier: Apache-2.0
// References beside strategies: what a simulation's run measures of its own clients without any
// aggregation, as records that stand among the compared ones.
//
//   local-only   each client's adapter on its own text alone, for as many steps as the rounds had
//                (report.local_only): figures of clients alone
//   centralized  one adapter on all training text together, for as many tokens as the rounds'
//                devices trained on (report.centralized): of sets and of clients
//
// They are the run's own figures, so clients, seeds, texts and base are those of the strategy that
// they were measured beside. Neither is an aggregation rule: no aggregator can make rounds of it
// (aggregator/references.h). Pure; thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "sim/comparison.h"

namespace coppice {

enum class Reference { kLocalOnly, kCentralized };
std::string_view reference_name(Reference reference);
std::optional<Reference> reference_named(std::string_view name); // none: a strategy, or nothing
// The key of [report] that makes runs measure it: "report.local_only".
std::string_view reference_setting(Reference reference);

// The rows of a reference out of runs that measured it, under its own name. What serves a client is
// the reference's adapter, or the base for a client without text to train on: nothing gates it.
ComparedScenario reference_scenario(const ComparedScenario& measured_beside, Reference reference,
                                    std::string name);

} // namespace coppice
