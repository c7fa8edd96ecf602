// SPDX-License-Identifier: Apache-2.0
// Enrolment requests, as anybody sends them and signed by the key they name; and replies.
#include "base/check.h"
#include "protocol/enrollment.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {
std::vector<Bytes> fuzz_seeds() {
  return {encode_enroll_request(samples::enroll_request(), samples::device_key()),
          encode_enroll_reply(samples::enroll_reply(), samples::aggregator_key())};
}
} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  static const SigningKey kDevice = samples::device_key();
  static const SigningKey kAggregator = samples::aggregator_key();
  Bytes bytes(data, data + size);
  const AllocationLimit limit(AllocationLimit::twice(size));
  std::ignore = peek_enroll_token(bytes);
  std::ignore = decode_enroll_request(bytes);
  std::ignore = decode_enroll_reply(bytes, kAggregator.public_key());
  if (size < Signature::kSize) return 0;
  const auto resign = [&bytes](const SigningKey& key, Domain domain) {
    const ByteSpan signed_part = ByteSpan(bytes).first(bytes.size() - Signature::kSize);
    const Signature signature = sign(key, domain, signed_part);
    std::copy(signature.bytes.begin(), signature.bytes.end(), bytes.end() - Signature::kSize);
  };
  resign(kDevice, Domain::kEnrolmentRequest);
  const auto request = decode_enroll_request(bytes);
  COPPICE_CHECK(!request.ok() || encode_enroll_request(*request, kDevice) == bytes);
  resign(kAggregator, Domain::kEnrolmentReply);
  const auto reply = decode_enroll_reply(bytes, kAggregator.public_key());
  COPPICE_CHECK(!reply.ok() || encode_enroll_reply(*reply, kAggregator) == bytes);
  return 0;
}
