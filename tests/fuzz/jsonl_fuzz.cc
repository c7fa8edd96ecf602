// SPDX-License-Identifier: Apache-2.0
// Rows of .jsonl files: what is taken as an example has text, and the same split every time.
#include "base/check.h"
#include "client/example_store.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {
Bytes text(std::string_view words) { return {words.begin(), words.end()}; }
} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {text(R"({"text": "The hive was quiet."})"),
          text(R"({"prompt": "Where?", "response": "In the shed."})"),
          text(R"({"instruction": "Add.", "input": "1 2", "output": "3"})"), text("[]")};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const auto piece = parse_row(as_text(ByteSpan(data, size)));
  if (!piece.ok()) return 0;
  COPPICE_CHECK(piece->split == split_of(*piece));
  COPPICE_CHECK(piece->instruction || piece->response.empty());
  return 0;
}
