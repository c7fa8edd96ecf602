// SPDX-License-Identifier: Apache-2.0
#include "model/native/worker_pool.h"

#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace coppice::native {
namespace {

constexpr int kSpins = 4000; // some 20 to 50 microseconds

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb"); // YIELD passes at once on most cores; this takes about as long as a pause
#endif
}

// Until `value` isn't `old` any more.
template <typename T>
void wait_for_change(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

} // namespace

WorkerPool::WorkerPool(unsigned threads) {
  for (unsigned i = 0; i < (threads == 0 ? 1 : threads); ++i) {
    scratch_.push_back(std::make_unique<Scratch>());
  }
  for (std::size_t i = 1; i < scratch_.size(); ++i) workers_.emplace_back([this, i] { serve(i); });
}

WorkerPool::~WorkerPool() {
  closing_ = true;
  ++generation_;
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void WorkerPool::run_erased(std::size_t count, const void* task, Call* call) {
  if (workers_.empty() || count <= 1) {
    for (std::size_t i = 0; i < count && !stopped(); ++i) call(task, i, *scratch_[0]);
    return;
  }
  task_ = task;
  call_ = call;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  busy_.store(workers_.size(), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(*scratch_[0]);
  for (std::size_t left = busy_.load(); left != 0; left = busy_.load())
    wait_for_change(busy_, left);
}

void WorkerPool::serve(std::size_t worker) {
  std::uint32_t seen = 0;
  while (true) {
    wait_for_change(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (closing_) return;
    work(*scratch_[worker]);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

void WorkerPool::work(Scratch& scratch) {
  for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
       i = next_.fetch_add(1, std::memory_order_relaxed)) {
    if (stopped()) return;
    call_(task_, i, scratch);
  }
}

} // namespace coppice::native
