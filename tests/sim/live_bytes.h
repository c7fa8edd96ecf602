// SPDX-License-Identifier: Apache-2.0
// What this program's operator new and the engine's buffers hold together, on all threads.
#pragma once

#include <cstdint>

namespace coppice {

// From here on: the most that was held at once, beyond what was held here. An upper bound: the two
// kinds' peaks are added up as if they came at the same moment.
class LiveBytesWatch {
 public:
  LiveBytesWatch();
  std::int64_t peak() const;

 private:
  std::int64_t heap_before_;
  std::int64_t buffers_before_;
};

} // namespace coppice
