// SPDX-License-Identifier: Apache-2.0
// Threads that do tasks in the order given, for work that can be done in any order.
//
// Tasks must not throw. All but the destructor may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace coppice {

class ThreadTeam {
 public:
  using Task = std::function<void(unsigned thread)>; // given its thread's number

  explicit ThreadTeam(unsigned threads); // at least one
  ~ThreadTeam();                         // waits for tasks under way, drops the others
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  unsigned threads() const { return static_cast<unsigned>(threads_.size()); }
  void add(Task task);       // after those that wait
  void add_first(Task task); // before them

  // job(i) for i in [0, count), before what waits, and returns when all are done. Not from one of
  // the team's own threads.
  void for_each(std::size_t count, const std::function<void(std::size_t)>& job);

 private:
  void work(unsigned thread);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool closing_ = false;
  std::vector<std::thread> threads_; // last: they use the rest
};

} // namespace coppice
