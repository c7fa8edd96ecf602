// SPDX-License-Identifier: Apache-2.0
// A target that breaks its promise for one kind of input: shows that a broken target is found.
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
std::vector<Bytes> fuzz_seeds() { return {Bytes(64, std::uint8_t{7})}; }
} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const coppice::AllocationLimit limit(coppice::AllocationLimit::twice(size));
  // A length that is believed: any mutation of the first byte by much tips it over.
  const coppice::Bytes believed(size == 0 ? 0 : std::size_t{data[0]} * 64);
  return believed.size() > SIZE_MAX / 2 ? 1 : 0;
}
