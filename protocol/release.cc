// SPDX-License-Identifier: Apache-2.0
#include "protocol/release.h"

#include "protocol/archive.h"

namespace coppice {

template <typename Archive>
void serialize(Archive& archive, Release& release) {
  archive(FormatField{1}, release.fleet, release.epoch, release.version,
          enum_field(release.reason, ReleaseReason::kRevert), release.parent_hash,
          release.adapter_hash, release.adapter_bytes, release.step_hash, release.step_bytes,
          release.base_hash, release.spec_hash, release.round, release.plan_hash,
          release.participants, release.reverted_to, release.test, release.cumulative_epsilon,
          release.created);
}

SignedRelease sign_release(const SigningKey& aggregator, const Release& release) {
  SignedRelease made{.bytes = encode_value(release), .signature = {}};
  made.signature = sign(aggregator, Domain::kRelease, made.bytes);
  return made;
}

Result<Release> verify_release(const VerifyKey& aggregator, const SignedRelease& release) {
  if (release.bytes.size() > limits::kStatementBytes) {
    return Error{ErrorCode::kTooLarge, cat("a release of ", release.bytes.size(), " bytes")};
  }
  const auto verified = verify(aggregator, Domain::kRelease, release.bytes, release.signature);
  if (!verified) {
    return Error{ErrorCode::kUnauthenticated,
                 "the release is not signed by the aggregator's key; keep what is served now"};
  }
  Release opened = COPPICE_TRY(decode_value<Release>(release.bytes, "the release"));
  if (opened.adapter_bytes > limits::kReleaseBytes || opened.step_bytes > limits::kReleaseBytes) {
    return Error{ErrorCode::kTooLarge,
                 cat("the release's content is over ", limits::kReleaseBytes, " bytes")};
  }
  if (opened.cumulative_epsilon < 0) {
    return Error{ErrorCode::kCorrupt, "the release states a negative privacy budget"};
  }
  return opened;
}

} // namespace coppice
