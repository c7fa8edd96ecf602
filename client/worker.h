// SPDX-License-Identifier: Apache-2.0
// One background thread for the device's heavy work, so that heartbeats go on while it trains.
//
// Jobs run one after another in the order given. A finished job's outcome is a closure that the
// agent's thread runs. A job is asked to end through its own flag, which add() gives: a job that
// still waits then finds it up when it begins.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace coppice {

class Worker {
 public:
  using Outcome = std::function<void()>;                             // runs on the agent's thread
  using Job = std::function<Outcome(const std::atomic<bool>& stop)>; // runs on the worker's thread

  // `wake` is called from the worker's thread after each job.
  explicit Worker(std::function<void()> wake);
  ~Worker(); // stops the running job, drops the others

  // Raise the flag that it gives to stop this job, and no other.
  std::shared_ptr<std::atomic<bool>> add(Job job);
  bool idle() const;
  std::vector<Outcome> take_outcomes();

 private:
  void run();
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  struct Entry {
    Job job;
    std::shared_ptr<std::atomic<bool>> stop;
  };
  std::deque<Entry> jobs_;
  std::shared_ptr<std::atomic<bool>> running_; // the running job's flag; null: none runs
  std::vector<Outcome> outcomes_;
  bool closing_ = false;
  std::thread thread_; // last: it uses the rest
};

} // namespace coppice
