// SPDX-License-Identifier: Apache-2.0
// One background thread for the device's heavy work, so that heartbeats go on while it trains.
//
// Jobs run one after another in the order given. A finished job's outcome is a closure that the
// agent's thread runs. stop() asks the running job to end at its next step.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
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

  void add(Job job);
  void stop_current(); // the running job only; later jobs are not affected
  bool idle() const;
  std::vector<Outcome> take_outcomes();

 private:
  void run();
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Outcome> outcomes_;
  bool running_ = false;
  bool closing_ = false;
  std::atomic<bool> stop_{false};
  std::thread thread_; // last: it uses the rest
};

} // namespace coppice
