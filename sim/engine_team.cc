// SPDX-License-Identifier: Apache-2.0
#include "sim/engine_team.h"

#include <algorithm>

namespace coppice {

EngineTeam::EngineTeam(EngineFactory factory, unsigned workers) : factory_(std::move(factory)) {
  for (unsigned i = 0; i < std::max(1U, workers); ++i) threads_.emplace_back([this] { work(); });
}

EngineTeam::~EngineTeam() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    tasks_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void EngineTeam::add(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void EngineTeam::add_first(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_front(std::move(task));
  }
  changed_.notify_one();
}

void EngineTeam::work() {
  std::unique_ptr<Engine> engine;
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
      if (closing_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    if (!engine) {
      auto opened = factory_();
      if (!opened.ok()) {
        task(std::move(opened).error());
        continue;
      }
      engine = std::move(opened).value();
    }
    task(engine.get());
  }
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
