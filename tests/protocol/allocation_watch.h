// SPDX-License-Identifier: Apache-2.0
// The largest single allocation on this thread while it lives: this program's operator new reports.
#pragma once

#include <cstddef>

namespace coppice {

class AllocationWatch {
 public:
  AllocationWatch();
  std::size_t largest() const;
};

} // namespace coppice
