// SPDX-License-Identifier: Apache-2.0
// Rows of TSV and JSONL with users and labels: no text grows, and the split follows from the piece.
#include "base/check.h"
#include "sim/text_rows.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {
Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

void check(const Result<TextRow>& row, std::size_t size) {
  if (!row.ok()) return;
  COPPICE_CHECK(row->piece.split == split_of(row->piece));
  COPPICE_CHECK(row->piece.text.size() <= size && row->user.size() == 2);
}
} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {text("macbeth\tGHOST\tWho\\nis there\\\\"), text("a\tb"),
          text(R"({"play": "hamlet", "speaker": 7, "text": "Mark me."})"),
          text(R"({"play": true, "speaker": "b", "prompt": "c", "response": "d"})")};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const DataSettings settings{.user_column = "play,speaker", .label_column = "play"};
  static const RowReader tsv = RowReader::tsv(settings, "play\tspeaker\ttext").value();
  static const RowReader jsonl = RowReader::jsonl(settings);
  const std::string_view line = as_text(ByteSpan(data, size));
  check(tsv.read(line), size);
  check(jsonl.read(line), size);
  return 0;
}
