// SPDX-License-Identifier: Apache-2.0
// Watches each allocation: through the sanitizer's hooks where there are any, else as operator new.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "tests/fuzz/fuzz_target.h"

#if defined(__SANITIZE_ADDRESS__)
#define COPPICE_SANITIZER_HOOKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COPPICE_SANITIZER_HOOKS 1
#endif
#endif

namespace {

constexpr std::size_t kNoLimit = SIZE_MAX;
std::atomic<std::size_t> limit{kNoLimit};

void watch(std::size_t size) {
  const std::size_t most = limit.load(std::memory_order_relaxed);
  if (size <= most) return;
  limit = kNoLimit; // the message may allocate
  std::fprintf(stderr, "an allocation of %zu bytes is above the limit of %zu\n", size, most);
  std::abort();
}

} // namespace

#if defined(COPPICE_SANITIZER_HOOKS)
#include <sanitizer/allocator_interface.h>

namespace {
void on_malloc(const volatile void*, std::size_t size) { watch(size); }
void on_free(const volatile void*) {}
const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
} // namespace
#else
void* operator new(std::size_t size) {
  watch(size);
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace coppice {
AllocationLimit::AllocationLimit(std::size_t bytes) { limit = bytes; }
AllocationLimit::~AllocationLimit() { limit = kNoLimit; }
} // namespace coppice
