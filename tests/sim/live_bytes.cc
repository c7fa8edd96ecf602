// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/live_bytes.h"

#include <malloc.h>
#include <atomic>
#include <cstdlib>
#include <new>

#include "model/native/buffer.h"

namespace {

std::atomic<std::int64_t> live{0};
std::atomic<std::int64_t> most{0};

void* counted(void* memory) noexcept {
  if (memory == nullptr) return nullptr;
  const auto size = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t now = live.fetch_add(size) + size;
  for (std::int64_t seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
  }
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) live.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}

} // namespace

void* operator new(std::size_t size) {
  void* memory = counted(std::malloc(size));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// Sanitizers bring their own of this one too, and compare who allocates with who frees.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size));
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

namespace coppice {

LiveBytesWatch::LiveBytesWatch() : heap_before_(live.load()) {
  most = heap_before_;
  native::Buffer::take_peak();
  buffers_before_ = native::Buffer::take_peak();
}

std::int64_t LiveBytesWatch::peak() const {
  return most.load() - heap_before_ + native::Buffer::take_peak() - buffers_before_;
}

} // namespace coppice
