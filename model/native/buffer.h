// SPDX-License-Identifier: Apache-2.0
// Memory of the engine: aligned, uninitialized, counted; and views of rows in it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "base/check.h"

namespace coppice::native {

// Bytes aligned for any vector, and not initialized. Grows only by being made anew.
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    count(-static_cast<std::int64_t>(size_));
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~Buffer() { count(-static_cast<std::int64_t>(size_)); }
  explicit Buffer(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    count(static_cast<std::int64_t>(bytes));
    const std::size_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, whole)));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  float* floats() { return reinterpret_cast<float*>(data_.get()); }
  const float* floats() const { return reinterpret_cast<const float*>(data_.get()); }
  std::size_t size() const { return size_; }
  // Bytes of all buffers of the process at their peak since the last call, for tests of plans.
  static std::int64_t take_peak() { return peak.exchange(live.load()); }
  // At least `bytes`; what was in it is lost when it grows.
  void reserve(std::size_t bytes) {
    if (bytes <= size_) return;
    *this = Buffer();
    *this = Buffer(bytes);
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  static void count(std::int64_t change) {
    if (change == 0) return;
    const std::int64_t now = live.fetch_add(change) + change;
    for (std::int64_t seen = peak.load(); now > seen && !peak.compare_exchange_weak(seen, now);) {
    }
  }
  static inline std::atomic<std::int64_t> live{0};
  static inline std::atomic<std::int64_t> peak{0};
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

// Row-major float32 that somebody else owns.
struct FloatRows {
  float* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0; // floats from one row to the next
  float* row(std::size_t i) const { return data + i * stride; }
  FloatRows column_range(std::size_t begin, std::size_t count) const {
    return {data + begin, rows, count, stride};
  }
  FloatRows row_range(std::size_t begin, std::size_t count) const {
    return {row(begin), count, columns, stride};
  }
};

// Row-major elements of a precision (product_kernels.h) that somebody else owns.
struct ElementRows {
  std::byte* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0; // elements from one row to the next
  std::size_t bytes = 0;  // of an element
  std::byte* at(std::size_t row, std::size_t column = 0) const {
    return data + (row * stride + column) * bytes;
  }
  ElementRows column_range(std::size_t begin, std::size_t count) const {
    return {data + begin * bytes, rows, count, stride, bytes};
  }
  ElementRows row_range(std::size_t begin, std::size_t count) const {
    return {data + begin * stride * bytes, count, columns, stride, bytes};
  }
};

// What one thread needs for the length of a task. A slot's memory is kept from task to task.
enum class Slot : std::size_t {
  kWeights,
  kRows,
  kPanel,
  kPanelB,
  kOutput,
  kScores,
  kScoresB,
  kScoresC,
  kTransposed,
  kTransposedB,
  kSums,
  kSumsB,
  kCount
};

class Scratch {
 public:
  std::byte* bytes(Slot slot, std::size_t count) {
    Buffer& buffer = slots_[static_cast<std::size_t>(slot)];
    buffer.reserve(count);
    return buffer.data();
  }
  float* floats(Slot slot, std::size_t count) {
    return reinterpret_cast<float*>(bytes(slot, count * sizeof(float)));
  }

 private:
  std::array<Buffer, static_cast<std::size_t>(Slot::kCount)> slots_;
};

} // namespace coppice::native
