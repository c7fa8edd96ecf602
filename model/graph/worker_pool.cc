// SPDX-License-Identifier: Apache-2.0
#include "model/graph/worker_pool.h"

#include <ATen/Parallel.h>

#include <array>
#include <utility>

namespace coppice::graph {

void use_one_libtorch_thread() { at::set_num_threads(1); }

float* scratch(ScratchSlot slot, std::size_t floats) {
  thread_local std::array<std::vector<float>, static_cast<std::size_t>(ScratchSlot::kCount)> slots;
  auto& buffer = slots[static_cast<std::size_t>(slot)];
  if (buffer.size() < floats) buffer = std::vector<float>(floats);
  return buffer.data();
}

WorkerPool::WorkerPool(unsigned threads) {
  for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  closing_ = true;
  ++generation_;
  generation_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void WorkerPool::run(std::int64_t count, const std::function<void(std::int64_t)>& task) {
  if (workers_.empty() || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  task_ = &task;
  count_ = count;
  next_ = 0;
  busy_ = workers_.size();
  ++generation_;
  generation_.notify_all();
  work();
  for (std::size_t left = busy_; left != 0; left = busy_) busy_.wait(left);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void WorkerPool::serve() {
  use_one_libtorch_thread();
  std::uint32_t seen = 0;
  while (true) {
    generation_.wait(seen);
    seen = generation_;
    if (closing_) return;
    work();
    if (--busy_ == 0) busy_.notify_one();
  }
}

void WorkerPool::work() {
  for (std::int64_t i = next_++; i < count_; i = next_++) {
    try {
      (*task_)(i);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = count_;
    }
  }
}

} // namespace coppice::graph
