// SPDX-License-Identifier: Apache-2.0
// Threads that share loops: the caller works too, and waits for the last.
//
// Tasks of a loop are independent and write to places of their own, so it doesn't matter for the
// result who takes which. Between loops a worker spins for some microseconds, since the next one
// usually comes at once, and then sleeps. One loop at a time, from one thread.
//
// Note [Stopping in the middle]. A step takes seconds and must end within milliseconds once it is
// asked to. Within an Interruptible's life every thread looks at the flag before each task, and
// once it is up, no task runs any more: loops end at once, and what they were to write stays as it
// was. The code around them needs no checks to be safe (it computes with floats, never with indices
// from them), and drops the results at its end. Tasks take at most some milliseconds: a panel of a
// product, a head of attention.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/native/buffer.h"

namespace coppice::native {

class WorkerPool {
 public:
  explicit WorkerPool(unsigned threads); // at least 1
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  // The flag that interruptible work looks at; null: none. It may be set from any thread.
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) {
    return std::exchange(stop_, stop);
  }

  // Work that ends when the flag is up; see Note [Stopping in the middle]. One at a time.
  class Interruptible {
   public:
    explicit Interruptible(WorkerPool& pool) : pool_(pool) {
      pool_.stopped_ = false;
      pool_.interruptible_ = true;
    }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;
    ~Interruptible() { pool_.interruptible_ = false; }
    // Whether tasks were left out, or would be from here on: drop what was computed.
    bool stopped() const { return pool_.leaves_out(); }

   private:
    WorkerPool& pool_;
  };
  // Within an Interruptible: whether it has been stopped.
  bool stopped() { return interruptible_ && leaves_out(); }

  unsigned threads() const { return static_cast<unsigned>(scratch_.size()); }

  // task(i, scratch) for each i < count; `scratch` belongs to the thread that runs it.
  template <typename Task>
  void run(std::size_t count, const Task& task) {
    run_erased(count, &task, [](const void* erased, std::size_t i, Scratch& scratch) {
      (*static_cast<const Task*>(erased))(i, scratch);
    });
  }

 private:
  using Call = void(const void* task, std::size_t i, Scratch& scratch);
  void run_erased(std::size_t count, const void* task, Call* call);
  void serve(std::size_t worker);
  void work(Scratch& scratch);
  // Once true, true until the Interruptible ends, whatever becomes of the flag.
  bool leaves_out() {
    if (stopped_.load(std::memory_order_relaxed)) return true;
    if (stop_ == nullptr || !stop_->load(std::memory_order_relaxed)) return false;
    stopped_.store(true, std::memory_order_relaxed);
    return true;
  }

  const std::atomic<bool>* stop_ = nullptr;
  bool interruptible_ = false;
  std::atomic<bool> stopped_{false};
  std::vector<std::unique_ptr<Scratch>> scratch_; // [0] is the caller's
  std::vector<std::thread> workers_;
  const void* task_ = nullptr;
  Call* call_ = nullptr;
  std::size_t count_ = 0;
  alignas(64) std::atomic<std::size_t> next_{0};
  alignas(64) std::atomic<std::size_t> busy_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  std::atomic<bool> closing_{false};
};

} // namespace coppice::native
