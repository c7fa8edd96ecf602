// SPDX-License-Identifier: Apache-2.0
// Hostile virtual clients: what they do to their own training text, and what they send instead of
// what they learned.
//
// A share of the devices is hostile for the whole run, drawn by the scenario's seed. They know what
// they trained themselves and each other's, not what honest devices learned: where an attack is
// written for an adversary who knows the honest mean and spread, theirs stand in for it, which is
// the threat model of ALIE's paper. What they send passes the same clip and encoding as
// everybody's, since the aggregator takes nothing else. Pure functions; thread-safe.
#pragma once

#include <span>
#include <vector>

#include "client/example_store.h"
#include "sim/attack_settings.h"
#include "sim/population.h"

namespace coppice {

bool is_hostile(const AttackSettings& attack, std::uint64_t seed, DeviceNumber device);

// The text that a hostile client trains on; the gate's and the report's stay.
std::vector<Piece> poisoned(const AttackSettings& attack, std::vector<Piece> pieces);

// What the hostile device `own` of those in a round sends; `learned` are the deltas that they
// trained, in one order for all of them, none empty, all of one size.
std::vector<float> hostile_delta(const AttackSettings& attack,
                                 std::span<const std::vector<float>* const> learned,
                                 std::size_t own);
} // namespace coppice
