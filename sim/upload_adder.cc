// SPDX-License-Identifier: Apache-2.0
#include "sim/upload_adder.h"

#include <memory>

#include "aggregator/round.h"

namespace coppice {

void UploadAdder::add(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                      std::vector<std::uint32_t> upload) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ < kMostWaiting; });
    waiting_ += 1;
  }
  // Tasks are copied by those who keep them; uploads needn't be.
  auto shared = std::make_shared<std::vector<std::uint32_t>>(std::move(upload));
  thread_.add([this, &slots, sum, shared = std::move(shared)](unsigned) mutable {
    add_upload(slots, sum, *shared);
    shared.reset(); // its memory goes here, too
    const std::lock_guard lock(mutex_);
    waiting_ -= 1;
    changed_.notify_one();
  });
}

void UploadAdder::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_ == 0; });
}

} // namespace coppice
