// SPDX-License-Identifier: Apache-2.0
// Worker threads with an engine each, over one base, for work that can be done in any order.
//
// Engines are opened by the threads themselves, when their first task comes. Tasks must not throw.
// The team is for one thread; tasks run on its workers.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "model/engine.h"

namespace coppice {

class EngineTeam {
 public:
  // Given an engine, or why there is none.
  using Task = std::function<void(Result<Engine*>)>;

  // `factory` is called on several threads at once.
  EngineTeam(EngineFactory factory, unsigned workers);
  ~EngineTeam(); // waits for tasks under way, drops the others
  EngineTeam(const EngineTeam&) = delete;
  EngineTeam& operator=(const EngineTeam&) = delete;

  unsigned workers() const { return static_cast<unsigned>(threads_.size()); }
  void add(Task task);       // after those that wait
  void add_first(Task task); // before them

  // job(i, engine) for i in [0, count), and waits. The error of the lowest i that failed.
  Result<void> for_each(std::size_t count,
                        const std::function<Result<void>(std::size_t, Engine&)>& job);

 private:
  void work();
  EngineFactory factory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool closing_ = false;
  std::vector<std::thread> threads_; // last: they use the rest
};

} // namespace coppice
