// SPDX-License-Identifier: Apache-2.0
// A training's checkpoint: whatever parses is the only text of what it says. Bytes are tried as
// they are and with their hash mended, since a fuzzer finds no SHA-256.
#include "base/check.h"
#include "client/train_checkpoint.h"
#include "tests/fuzz/mended_hash.h"

namespace coppice {
namespace {

constexpr std::size_t kParameters = 6;

const TrainIdentity& identity() {
  static const TrainIdentity made{
      .base = {}, .spec = {}, .recipe = {}, .text = {}, .start = {}, .engine = "native"};
  return made;
}

Bytes joined(const TrainCheckpoint& checkpoint) {
  const CheckpointBytes parts = serialize_checkpoint(identity(), checkpoint);
  Bytes all = parts.head;
  for (const ByteSpan part : parts.floats) all.insert(all.end(), part.begin(), part.end());
  all.insert(all.end(), parts.hash.bytes.begin(), parts.hash.bytes.end());
  return all;
}

void check(const Bytes& bytes) {
  const auto parsed = parse_checkpoint(bytes, identity(), kParameters);
  if (parsed.ok()) COPPICE_CHECK(joined(*parsed) == bytes);
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  const std::vector<float> floats(4 * kParameters, 0.5F);
  const std::span<const float> all(floats);
  TrainCheckpoint made{.state = {.values = all.first(kParameters),
                                 .first_moment = all.first(kParameters),
                                 .second_moment = all.first(kParameters),
                                 .steps = 3},
                       .position = {.epoch = 1, .window = 2},
                       .tokens = 300,
                       .best = {}};
  std::vector<Bytes> seeds{joined(made)};
  made.best = all.first(kParameters);
  seeds.push_back(joined(made));
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const AllocationLimit limit(AllocationLimit::twice(size));
  check_with_mended_hash(data, size, check);
  return 0;
}
