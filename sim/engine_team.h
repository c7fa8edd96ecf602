// SPDX-License-Identifier: Apache-2.0
// Worker threads with an engine each, over one base, for work that can be done in any order.
//
// Engines are opened by the threads themselves, when their first task comes. Tasks must not throw.
// Tasks run on the team's workers, and may be added from any thread.
#pragma once

#include <memory>

#include "model/engine.h"
#include "sim/thread_team.h"

namespace coppice {

// Opens a worker's engine, by its number: workers may compute on a GPU each. Called on several
// threads at once.
using WorkerEngine = std::function<Result<std::unique_ptr<Engine>>(unsigned worker)>;

class EngineTeam {
 public:
  // Given an engine, or why there is none.
  using Task = std::function<void(const Result<Engine*>&)>;

  // `packs`: EngineInfo::packs of the engines.
  EngineTeam(WorkerEngine open, unsigned workers, bool packs = false);

  unsigned workers() const { return team_.threads(); }
  bool packs() const { return packs_; }
  void add(Task task);       // after those that wait
  void add_first(Task task); // before them

  // job(i, engine) for i in [0, count), and waits. The error of the lowest i that failed.
  Result<void> for_each(std::size_t count,
                        const std::function<Result<void>(std::size_t, Engine&)>& job);

 private:
  Result<Engine*> engine_of(unsigned worker);
  WorkerEngine open_;
  bool packs_;
  std::vector<std::unique_ptr<Engine>> engines_; // each touched by its worker alone
  ThreadTeam team_;                              // last: its threads use the rest
};

} // namespace coppice
