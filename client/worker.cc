// SPDX-License-Identifier: Apache-2.0
#include "client/worker.h"

#include <utility>

namespace coppice {

Worker::Worker(std::function<void()> wake) : wake_(std::move(wake)), thread_([this] { run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    jobs_.clear();
  }
  stop_.store(true);
  changed_.notify_all();
  thread_.join();
}

void Worker::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Worker::stop_current() {
  const std::lock_guard lock(mutex_);
  if (running_) stop_.store(true);
}

bool Worker::idle() const {
  const std::lock_guard lock(mutex_);
  return !running_ && jobs_.empty() && outcomes_.empty();
}

std::vector<Worker::Outcome> Worker::take_outcomes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcomes_, {});
}

void Worker::run() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (closing_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      running_ = true;
      stop_.store(false);
    }
    Outcome outcome = job(stop_);
    {
      const std::lock_guard lock(mutex_);
      running_ = false;
      if (outcome) outcomes_.push_back(std::move(outcome));
    }
    wake_();
  }
}

} // namespace coppice
