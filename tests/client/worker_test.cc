// SPDX-License-Identifier: Apache-2.0
#include "client/worker.h"

#include <gtest/gtest.h>

#include <future>

namespace coppice {
namespace {

using namespace std::chrono_literals;

// Waits for the worker's wake-ups, each with a deadline.
class WorkerTest : public ::testing::Test {
 protected:
  void wait_for_wakes(int count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 10s, [&] { return wakes_ >= count; }));
  }
  int run_outcomes() {
    const auto outcomes = worker_->take_outcomes();
    for (const auto& outcome : outcomes) outcome();
    return static_cast<int>(outcomes.size());
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int wakes_ = 0;
  std::unique_ptr<Worker> worker_ = std::make_unique<Worker>([this] {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    changed_.notify_all();
  });
};

TEST_F(WorkerTest, JobsRunInOrderAndTheirOutcomesOnTheCallersThread) {
  std::vector<int> order;
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 3; ++i) {
    worker_->add([&, i](const std::atomic<bool>&) -> Worker::Outcome {
      EXPECT_NE(std::this_thread::get_id(), here);
      return [&, i] {
        EXPECT_EQ(std::this_thread::get_id(), here);
        order.push_back(i);
      };
    });
  }
  wait_for_wakes(3);
  EXPECT_FALSE(worker_->idle()); // outcomes are waiting
  EXPECT_EQ(run_outcomes(), 3);
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_TRUE(worker_->idle());
}

TEST_F(WorkerTest, StoppingEndsTheRunningJobAndNotTheNext) {
  std::promise<void> started;
  bool first_stopped = false;
  bool second_stopped = true;
  const auto first = worker_->add([&](const std::atomic<bool>& stop) -> Worker::Outcome {
    started.set_value();
    while (!stop.load()) std::this_thread::sleep_for(1ms);
    first_stopped = true;
    return {};
  });
  worker_->add([&](const std::atomic<bool>& stop) -> Worker::Outcome {
    second_stopped = stop.load();
    return {};
  });
  started.get_future().wait();
  first->store(true);
  wait_for_wakes(2);
  EXPECT_TRUE(first_stopped);
  EXPECT_FALSE(second_stopped);
}

TEST_F(WorkerTest, AJobThatIsStoppedWhileItWaitsFindsItOutWhenItBegins) {
  std::promise<void> go;
  worker_->add([&](const std::atomic<bool>&) -> Worker::Outcome {
    go.get_future().wait();
    return {};
  });
  bool stopped = false;
  const auto second = worker_->add([&](const std::atomic<bool>& stop) -> Worker::Outcome {
    stopped = stop.load();
    return {};
  });
  second->store(true);
  go.set_value();
  wait_for_wakes(2);
  EXPECT_TRUE(stopped);
}

TEST_F(WorkerTest, ItsEndStopsTheRunningJobAndDropsTheOthers) {
  std::promise<void> started;
  bool second_ran = false;
  worker_->add([&](const std::atomic<bool>& stop) -> Worker::Outcome {
    started.set_value();
    while (!stop.load()) std::this_thread::sleep_for(1ms);
    return {};
  });
  worker_->add([&](const std::atomic<bool>&) -> Worker::Outcome {
    second_ran = true;
    return {};
  });
  started.get_future().wait();
  worker_.reset();
  EXPECT_FALSE(second_ran);
}

} // namespace
} // namespace coppice
