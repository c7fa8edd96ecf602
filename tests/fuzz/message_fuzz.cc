// SPDX-License-Identifier: Apache-2.0
// Bodies of every message type: first byte picks the type, the rest is the body as an authenticated
// but hostile peer sends it. What decodes, encodes to the same bytes.
#include "base/check.h"
#include "protocol/message_codec.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds;
  for (const Message& message : samples::messages()) {
    Bytes seed = encode_body(message);
    seed.insert(seed.begin(), static_cast<std::uint8_t>(type_of(message)));
    seeds.push_back(std::move(seed));
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  if (size == 0) return 0;
  const auto type = static_cast<MessageType>(data[0]);
  const ByteSpan body(data + 1, size - 1);
  const AllocationLimit limit(AllocationLimit::twice(size));
  const auto message = decode_body(type, body);
  if (!message) return 0;
  COPPICE_CHECK(type_of(*message) == type);
  const Bytes again = encode_body(*message);
  COPPICE_CHECK(again.size() == body.size() &&
                std::equal(again.begin(), again.end(), body.begin()));
  return 0;
}
