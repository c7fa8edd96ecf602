// SPDX-License-Identifier: Apache-2.0
// A release's step: whatever parses has its spec's shape, is the only text of its step, and leaves
// an adapter finite or as it was.
#include "adapters/step_codec.h"
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

const std::shared_ptr<const AdapterSpec>& spec() {
  static const auto spec = std::make_shared<const AdapterSpec>(AdapterSpec{
      .architecture = "llama",
      .targets = {{.tensor = "blk.0.attn_q", .in = 4, .out = 4, .rank = 2, .alpha = 4},
                  {.tensor = "blk.0.ffn_up", .in = 4, .out = 6, .rank = 1, .alpha = 1}}});
  return spec;
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  std::vector<double> step(spec()->parameters(), 0.0);
  const Bytes still = serialize_step(encode_step(*spec(), step).value());
  for (std::size_t i = 0; i < step.size(); ++i) step[i] = 0.01 * static_cast<double>(i) - 0.1;
  return {still, serialize_step(encode_step(*spec(), step).value())};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const ByteSpan bytes(data, size);
  const AllocationLimit limit(AllocationLimit::twice(size));
  const auto step = parse_step(bytes, *spec());
  if (!step) return 0;
  COPPICE_CHECK(serialize_step(*step) == Bytes(bytes.begin(), bytes.end()));
  Adapter adapter = Adapter::initial(spec(), 1);
  const Adapter before = adapter;
  if (apply_step(adapter, *step).ok()) {
    COPPICE_CHECK(adapter.finite());
  } else {
    COPPICE_CHECK(delta_between(adapter, before).value() ==
                  std::vector<float>(spec()->parameters(), 0.0F));
  }
  return 0;
}
