// SPDX-License-Identifier: Apache-2.0
// The figures that the engine was built to, as a table: what is run for them, what is read from it,
// and the bar.
//
// A bar is a number of its own, or a factor of what a peer reaches on the same model. coppice runs
// no peers: theirs are given, or those recorded in docs/benchmarks.md, and labelled so.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/json.h"

namespace coppice {

// The models of the table, by shape; weights in Q4_0.
struct FigureModel {
  std::string_view name; // "27m"
  std::uint32_t layers, width, feed_forward;
};
std::span<const FigureModel> figure_models();

// A run of `coppice bench`, which several figures may be read from.
struct FigureRun {
  std::string_view name;  // "train-27m"
  std::string_view model; // of figure_models()
  std::vector<std::string> arguments;
};
std::span<const FigureRun> figure_runs();

struct FigurePeer {
  std::string_view name; // "peft-27m"
  std::string_view what; // "PEFT, the best of float32, bfloat16 and NF4"
  double recorded = 0;   // tokens a second, in docs/benchmarks.md
};
std::span<const FigurePeer> figure_peers();

struct FigureResult {
  std::string_view name; // "train-27m-share"
  std::string_view what; // "27M, training: share of the ceiling"
  std::string_view unit;
  std::string_view run;
  double measured = 0;
  double bar = 0;
  bool at_least = true; // else at most
  bool passes = false;
  std::string peer; // its name; empty where the bar is a number of its own
  double factor = 0;
  double peer_value = 0;
  bool peer_given = false; // else recorded
};
// The figures of the runs that were made: by name, what each printed with --format json. `peers`
// has what was given, by name. kInvalidArgument names a field that a run lacks.
Result<std::vector<FigureResult>> judge_figures(const std::map<std::string, Json>& runs,
                                                const std::map<std::string, double>& peers);

} // namespace coppice
