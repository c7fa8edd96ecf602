// SPDX-License-Identifier: Apache-2.0
// LEAF's JSON: memory stays in proportion to the input, and samples of texts hold at most 1 kB
// where windows were put together.
#include "sim/leaf_json.h"

#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {
Bytes text(std::string_view words) { return {words.begin(), words.end()}; }
} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {
      text(
          R"({"users":["a"],"num_samples":[2],"user_data":{"a":{"x":["ab","bc"],"y":["c","d"]}}})"),
      text(R"({"users":["a"],"num_samples":[1],"user_data":{"a":{"x":[["0","t"]],"y":[4]}}})"),
      text(R"({"users":[],"num_samples":[],"user_data":{},"o":[{"]":"\""}]})")};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const std::string_view json = as_text(ByteSpan(data, size));
  for (const LeafColumns& columns :
       {LeafColumns{}, LeafColumns{.text_place = 1, .label_is_y = true}}) {
    std::size_t bytes = 0;
    const auto read =
        read_leaf(json, columns, [&](const std::string&, const std::vector<LeafSample>& samples) {
          for (const LeafSample& sample : samples) bytes += sample.text.size();
          return Result<void>();
        });
    if (read.ok()) COPPICE_CHECK(bytes <= size);
  }
  return 0;
}
