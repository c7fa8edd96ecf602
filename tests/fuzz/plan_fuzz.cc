// SPDX-License-Identifier: Apache-2.0
// Round plans: what decodes, encodes to the same bytes; validating it never does worse than refuse.
#include "base/check.h"
#include "protocol/round_plan.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {
std::vector<Bytes> fuzz_seeds() { return {samples::plan().encode()}; }
} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  static const AdapterSpec kSpec = samples::spec();
  const ByteSpan bytes(data, size);
  // Slots are kept in a vector that doubles: 34 bytes on the wire may take 2 x 80 in memory.
  const AllocationLimit limit(5 * size + AllocationLimit::kSlack);
  const auto plan = RoundPlan::decode(bytes);
  if (!plan) return 0;
  const Bytes again = plan->encode();
  COPPICE_CHECK(again.size() == size && std::equal(again.begin(), again.end(), data));
  std::ignore = plan->validate(kSpec);
  return 0;
}
