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
// Sanitizers bring their own of this one too, and compare who allocates with who frees.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  largest_allocation = std::max(largest_allocation, size);
  return std::malloc(size);
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace coppice {

AllocationWatch::AllocationWatch() { largest_allocation = 0; }
std::size_t AllocationWatch::largest() const { return largest_allocation; }

} // namespace coppice
