// SPDX-License-Identifier: Apache-2.0
// `sim compare --attacks`: each compared scenario a second time under each attack.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/sim_study.h"
#include "sim/robustness.h"

namespace coppice {

struct NamedAttack {
  std::string name;               // of attack.kind
  std::optional<double> strength; // none: the scenario's own, or usual_strength()
};

// "sign-flip,scale:10" as --attacks has it: names of attack.kind, each once, with a strength behind
// a colon where it isn't to be the usual one. kInvalidArgument names what is wrong, and the names
// that there are.
Result<std::vector<NamedAttack>> parse_attacks(const std::string& text);

// Where a scenario sets no attack.strength: 4 of sign-flip, 10 of scale, 2 of inner-product, 1.5 of
// alie, as docs/strategies.md measures them; 1 of those that have none.
double usual_strength(std::string_view attack);

struct AttackedStudy {
  std::vector<AttackedScenario> attacked; // without runs; in the order of scenarios, then attacks
  std::vector<StudyScenario> scenarios;   // those that aren't refused, in that order
};
// kInvalidArgument for a scenario that has an attack already; what can't be played under an attack
// is refused in its row alone.
Result<AttackedStudy> attacked_study(const std::vector<StudyScenario>& scenarios,
                                     std::span<const NamedAttack> attacks,
                                     const Environment& environment);

} // namespace coppice
