// SPDX-License-Identifier: Apache-2.0
// The engine's own threads. A loop is cut into tasks by shapes alone, never by the number of
// threads, and every LibTorch call runs on one thread: so results repeat bit for bit for any number
// of threads.
//
// run() is for one caller at a time. Buffers of scratch() belong to the calling thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace coppice::graph {

class WorkerPool {
 public:
  explicit WorkerPool(unsigned threads); // at least 1, the caller of run() being one of them
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Calls task(i) once for each i in [0, count), in any order, and returns when all are done.
  // Rethrows the first exception of a task; the tasks not yet begun are then left out.
  void run(std::int64_t count, const std::function<void(std::int64_t)>& task);

 private:
  void serve();
  void work();

  std::vector<std::thread> workers_;
  const std::function<void(std::int64_t)>* task_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::atomic<std::size_t> busy_{0};         // workers that have not finished the present loop
  std::atomic<std::uint32_t> generation_{0}; // of loops; workers wait for it to change
  std::atomic<bool> closing_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

// LibTorch on the calling thread only. First thing in every thread of ours that calls it.
void use_one_libtorch_thread();

// At least `floats` floats, uninitialized, valid until the thread asks for the same slot again.
enum class ScratchSlot : std::size_t { kWeights, kScores, kGradients, kCount };
float* scratch(ScratchSlot slot, std::size_t floats);

// [begin, end) of the i-th block of `size` in [0, total).
struct BlockRange {
  BlockRange(std::int64_t index, std::int64_t size, std::int64_t total)
      : begin(index * size), end(begin + size < total ? begin + size : total) {}
  std::int64_t begin;
  std::int64_t end;
  std::int64_t count() const { return end - begin; }
};
inline std::int64_t block_count(std::int64_t total, std::int64_t size) {
  return (total + size - 1) / size;
}

} // namespace coppice::graph
