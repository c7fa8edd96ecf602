// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/allocation_watch.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {
thread_local std::size_t largest_allocation = 0;
} // namespace

void* operator new(std::size_t size) {
  largest_allocation = std::max(largest_allocation, size);
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace coppice {

AllocationWatch::AllocationWatch() { largest_allocation = 0; }
std::size_t AllocationWatch::largest() const { return largest_allocation; }

} // namespace coppice
