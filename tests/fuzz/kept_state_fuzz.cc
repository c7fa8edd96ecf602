// SPDX-License-Identifier: Apache-2.0
// What a device keeps between rounds: whatever parses is the only text of what it says. Bytes are
// tried as they are and with their hash mended, since a fuzzer finds no SHA-256.
#include "base/check.h"
#include "client/kept_state.h"
#include "tests/fuzz/mended_hash.h"

namespace coppice {
namespace {

void check(const Bytes& bytes) {
  const auto parsed = KeptState::decode(bytes);
  if (parsed.ok()) COPPICE_CHECK(parsed->encode() == bytes);
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  KeptState state;
  state.counted = {{"correction", {0.5F, -1.0F}}, {"own.b", {2.0F}}};
  std::vector<Bytes> seeds{KeptState{}.encode(), state.encode()};
  state.made = state.counted;
  state.plan.bytes[0] = 1;
  seeds.push_back(state.encode());
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const AllocationLimit limit(AllocationLimit::twice(size));
  check_with_mended_hash(data, size, check);
  return 0;
}
