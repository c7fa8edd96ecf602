// SPDX-License-Identifier: Apache-2.0
#include "sim/engine_team.h"

#include <algorithm>

namespace coppice {

EngineTeam::EngineTeam(WorkerEngine open, unsigned workers, bool packs)
    : open_(std::move(open)), packs_(packs), engines_(std::max(1U, workers)), team_(workers) {}

Result<Engine*> EngineTeam::engine_of(unsigned worker) {
  std::unique_ptr<Engine>& engine = engines_[worker];
  if (!engine) engine = COPPICE_TRY(open_(worker));
  return engine.get();
}

void EngineTeam::add(Task task) {
  team_.add([this, task = std::move(task)](unsigned worker) { task(engine_of(worker)); });
}

void EngineTeam::add_first(Task task) {
  team_.add_first([this, task = std::move(task)](unsigned worker) { task(engine_of(worker)); });
}

Result<void> EngineTeam::for_each(std::size_t count,
                                  const std::function<Result<void>(std::size_t, Engine&)>& job) {
  std::vector<Result<void>> results(count);
  std::mutex mutex;
  std::condition_variable done;
  std::size_t left = count;
  for (std::size_t i = 0; i < count; ++i) {
    add([&, i](const Result<Engine*>& engine) {
      results[i] = engine.ok() ? job(i, **engine) : Result<void>(engine.error());
      const std::lock_guard lock(mutex);
      if (--left == 0) done.notify_one(); // under the lock: the waiter owns what it touches
    });
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return left == 0; });
  for (Result<void>& result : results) COPPICE_TRY(std::move(result));
  return {};
}

} // namespace coppice
