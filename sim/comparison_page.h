// SPDX-License-Identifier: Apache-2.0
// compare.html: scenarios side by side, as one document (sim/report_document.h).
//
// Curves with their 95 % intervals over rounds and over bytes, a line a scenario; tables of bits
// per byte at equal rounds and equal bytes, of clients, of attacks where there were any, of what it
// took, of settings that differ; the runs that it was made of. Every text from a run is escaped.
// Pure; thread-safe.
#pragma once

#include <span>
#include <string>

#include "sim/comparison.h"
#include "sim/robustness.h"

namespace coppice {

inline constexpr std::size_t kMostCompared = 9; // as many lines as have room for their names

// `scenarios` are those that `comparison` was made of, at most kMostCompared; `attacked` are those
// of them that were played under attacks too.
std::string comparison_page(std::span<const ComparedScenario> scenarios,
                            const Comparison& comparison,
                            std::span<const AttackedScenario> attacked = {});

} // namespace coppice
