// SPDX-License-Identifier: Apache-2.0
#include "sim/thread_team.h"

#include <algorithm>
#include <atomic>

namespace coppice {

ThreadTeam::ThreadTeam(unsigned threads) {
  for (unsigned i = 0; i < std::max(1U, threads); ++i)
    threads_.emplace_back([this, i] { work(i); });
}

ThreadTeam::~ThreadTeam() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    tasks_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::add(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void ThreadTeam::add_first(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_front(std::move(task));
  }
  changed_.notify_one();
}

void ThreadTeam::work(unsigned thread) {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
      if (closing_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(thread);
  }
}

// Each thread that is free takes the next until none is left.
void ThreadTeam::for_each(std::size_t count, const std::function<void(std::size_t)>& job) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::condition_variable done;
  std::size_t left = std::min<std::size_t>(threads(), count);
  for (std::size_t i = left; i > 0; --i) {
    add_first([&](unsigned) {
      for (std::size_t at = next++; at < count; at = next++) job(at);
      const std::lock_guard lock(mutex);
      if (--left == 0) done.notify_one(); // under the lock: the waiter owns what it touches
    });
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return left == 0; });
}

} // namespace coppice
