// SPDX-License-Identifier: Apache-2.0
// The recording proxy's parser: whatever comes, in pieces of any size, every byte is counted once.
#include "base/check.h"
#include "protocol/zmtp.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

std::uint64_t counted(ByteSpan bytes, std::size_t piece) {
  ZmtpParser parser;
  std::vector<ZmtpFrame> frames;
  std::uint64_t total = 0;
  const auto count = [&] {
    for (const ZmtpFrame& frame : frames) total += frame.wire_bytes;
    frames.clear();
  };
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size()))) {
    parser.feed(bytes.first(std::min(piece, bytes.size())), frames);
    count();
  }
  parser.finish(frames);
  count();
  return total;
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  Bytes seed(64, 0);
  seed[0] = 0xFF;
  seed[9] = 0x7F;
  seed[10] = 3;
  const std::string_view mechanism = "CURVE";
  std::copy(mechanism.begin(), mechanism.end(), seed.begin() + 12);
  const std::string_view frames(
      "\x04\x06\x05HELLO\x00\x22\x07MESSAGE"
      "nonce..."
      "mac............."
      "fx",
      44);
  seed.insert(seed.end(), frames.begin(), frames.end());
  return {seed};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const ByteSpan bytes(data, size);
  // A frame takes 2 bytes on the wire at least, and 72 here; the list doubles.
  const AllocationLimit limit(80 * size + AllocationLimit::kSlack);
  COPPICE_CHECK(counted(bytes, 1) == size);
  COPPICE_CHECK(counted(bytes, size) == size);
  return 0;
}
