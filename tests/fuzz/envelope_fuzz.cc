// SPDX-License-Identifier: Apache-2.0
// Envelopes and uploads: the bytes as they come, then the same bytes signed by an enrolled device,
// so that what lies behind the signature is reached too.
#include "base/check.h"
#include "protocol/envelope.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

void open(const Bytes& bytes, bool is_signed) {
  static const VerifyKey kDevice = samples::device_key().public_key();
  static const SealKey kSeal = samples::seal_key();
  const auto header = peek_header(bytes);
  const ClientId sender = header ? header->sender : ClientId{};
  const AllocationLimit limit(AllocationLimit::twice(bytes.size()));
  const auto upload = open_upload(bytes, kDevice, sender, kSeal, samples::hash(0x30));
  COPPICE_CHECK(!upload.ok() || header.ok());
  const auto opened = open_envelope({bytes}, kDevice, sender);
  if (!opened) return;
  COPPICE_CHECK(header.ok());
  const auto message = decode_message(*opened);
  if (!message || !is_signed) return;
  const Frame again = make_envelope(samples::device_key(), opened->header(), *message);
  COPPICE_CHECK(again.bytes == bytes);
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds = {samples::sealed_upload()};
  std::vector<Message> messages = samples::messages();
  messages.pop_back(); // an upload has an envelope of its own
  for (const Message& message : messages) {
    seeds.push_back(make_envelope(samples::device_key(), samples::header(), message).bytes);
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  static const SigningKey kDevice = samples::device_key();
  Bytes bytes(data, data + size);
  open(bytes, false);
  if (size < Signature::kSize) return 0;
  const ByteSpan signed_part = ByteSpan(bytes).first(size - Signature::kSize);
  const Signature signature = sign(kDevice, Domain::kEnvelope, signed_part);
  std::copy(signature.bytes.begin(), signature.bytes.end(), bytes.end() - Signature::kSize);
  open(bytes, true);
  return 0;
}
