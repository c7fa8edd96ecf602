// SPDX-License-Identifier: Apache-2.0
// What each fuzz target consists of, and the bound on what it may allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"

// The target: no crash, no sanitizer report, whatever the bytes. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace coppice {

// Inputs to start from, small and mostly valid: mutations of them reach deep. Files in
// corpus/NAME/ are added to these.
std::vector<Bytes> fuzz_seeds();

// While one lives, a single allocation of over `bytes` ends the process with a message. One at a
// time. The default is twice the input and room for fixed buffers; a target that needs more says
// why.
class AllocationLimit {
 public:
  static constexpr std::size_t kSlack = 4096;
  static constexpr std::size_t twice(std::size_t input) { return 2 * input + kSlack; }
  explicit AllocationLimit(std::size_t bytes);
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;
  ~AllocationLimit();
};

} // namespace coppice
