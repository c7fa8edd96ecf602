// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.h"

#include <sodium.h>
#include <sys/mman.h>

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "crypto/sodium_init.h"

namespace coppice {
namespace {

// Hands out slots of pages that hold nothing but secrets. Locks work on whole pages and don't nest,
// so locking each secret where it happens to lie would unlock its neighbours when it goes. Regions
// are kept for the life of the process: their number follows the most secrets that ever lived at
// once.
class SecretPages {
 public:
  static SecretPages& instance() {
    // Never destroyed: secrets in other static objects may outlive any order of destruction.
    static SecretPages& pages = *new SecretPages;
    return pages;
  }

  std::uint8_t* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) add_region();
    std::uint8_t* const slot = free_.back();
    free_.pop_back();
    return slot;
  }

  void give_back(std::uint8_t* slot) noexcept {
    ::sodium_memzero(slot, SecretSlot::kSize);
    const std::lock_guard lock(mutex_);
    free_.push_back(slot); // within the capacity that add_region() reserved
  }

 private:
  static constexpr std::size_t kRegionBytes = 16384; // a quarter of the smallest usual lock limit

  void add_region() {
    void* const region =
        ::mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) throw std::bad_alloc();
    // Also excludes the region from core dumps. A refusal (RLIMIT_MEMLOCK) is no error.
    static_cast<void>(::sodium_mlock(region, kRegionBytes));
    slots_ += kRegionBytes / SecretSlot::kSize;
    free_.reserve(slots_);
    auto* const first = static_cast<std::uint8_t*>(region);
    for (std::size_t at = kRegionBytes; at > 0; at -= SecretSlot::kSize) {
      free_.push_back(first + at - SecretSlot::kSize);
    }
  }

  std::mutex mutex_;
  std::vector<std::uint8_t*> free_;
  std::size_t slots_ = 0;
};

} // namespace

void wipe(std::span<std::uint8_t> bytes) { ::sodium_memzero(bytes.data(), bytes.size()); }

bool equal_in_constant_time(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && ::sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

SecretSlot::SecretSlot() {
  ensure_sodium(); // sodium_mlock needs it
  data_ = SecretPages::instance().take();
}

SecretSlot::SecretSlot(SecretSlot&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

SecretSlot& SecretSlot::operator=(SecretSlot&& other) noexcept {
  if (this == &other) return *this;
  if (data_ != nullptr) SecretPages::instance().give_back(data_);
  data_ = std::exchange(other.data_, nullptr);
  return *this;
}

SecretSlot::~SecretSlot() {
  if (data_ != nullptr) SecretPages::instance().give_back(data_);
}

std::uint8_t* SecretSlot::data() const {
  COPPICE_CHECK(data_ != nullptr, "a secret is read after it was moved away");
  return data_;
}

} // namespace coppice
