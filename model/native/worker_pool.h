// SPDX-License-Identifier: Apache-2.0
// Threads that share loops: the caller works too, and waits for the last.
//
// Tasks of a loop are independent and write to places of their own, so it doesn't matter for the
// result who takes which. Between loops a worker spins for some microseconds, since the next one
// usually comes at once, and then sleeps. One loop at a time, from one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "model/native/buffer.h"

namespace coppice::native {

class WorkerPool {
 public:
  explicit WorkerPool(unsigned threads); // at least 1
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

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
