// SPDX-License-Identifier: Apache-2.0
// Our own adapter bytes: whatever parses is the only text of a valid, finite adapter.
#include "adapters/adapter_file.h"
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

// One byte may stand for a slot of zeros: what values may take is the limit that a caller gives.
constexpr std::size_t kMaxParameters = 4096;

} // namespace

std::vector<Bytes> fuzz_seeds() {
  AdapterSpec spec{
      .architecture = "llama",
      .targets = {
          {.tensor = "blk.0.attn_q", .in = 4, .out = 4, .rank = 2, .alpha = 4, .rope_heads = 2},
          {.tensor = "blk.0.ffn_up", .in = 4, .out = 6, .rank = 1, .alpha = 1}}};
  const Adapter fresh = Adapter::initial(std::make_shared<const AdapterSpec>(spec), 1);
  spec.scaling = LoraScaling::kRankStabilized;
  Adapter full = Adapter::initial(std::make_shared<const AdapterSpec>(spec), 2);
  for (float& value : full.values()) value += 1;
  return {serialize_adapter(fresh), serialize_adapter(full)};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const ByteSpan bytes(data, size);
  const AllocationLimit limit(AllocationLimit::twice(size) + kMaxParameters * sizeof(float));
  const auto adapter = parse_adapter(bytes, kMaxParameters);
  if (!adapter) return 0;
  COPPICE_CHECK(adapter->spec().validate().ok() && adapter->finite());
  const Bytes again = serialize_adapter(*adapter);
  COPPICE_CHECK(again == Bytes(bytes.begin(), bytes.end()));
  return 0;
}
