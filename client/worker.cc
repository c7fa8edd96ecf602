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
    if (running_) running_->store(true);
  }
  changed_.notify_all();
  thread_.join();
}

std::shared_ptr<std::atomic<bool>> Worker::add(Job job) {
  auto stop = std::make_shared<std::atomic<bool>>(false);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(job), stop});
  }
  changed_.notify_all();
  return stop;
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
    Entry entry;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (closing_) return;
      entry = std::move(jobs_.front());
      jobs_.pop_front();
      running_ = entry.stop;
    }
    Outcome outcome = entry.job(*entry.stop);
    {
      const std::lock_guard lock(mutex_);
      running_.reset();
      if (outcome) outcomes_.push_back(std::move(outcome));
    }
    wake_();
  }
}

} // namespace coppice
