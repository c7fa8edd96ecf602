// SPDX-License-Identifier: Apache-2.0
#include "protocol/release.h"

#include <algorithm>

#include "protocol/archive.h"

namespace coppice {

template <typename Archive>
void serialize(Archive& archive, Release& release) {
  const auto is_new = [&] { return release.last_revert.value > 0 || release.control_bytes > 0; };
  std::uint16_t format = is_new() ? 2 : 1; // where it is written
  archive(OneOfFormats{format, 2}, release.fleet, release.epoch, release.version,
          enum_field(release.reason, ReleaseReason::kRevert), release.parent_hash,
          release.adapter_hash, release.adapter_bytes, release.step_hash, release.step_bytes,
          release.base_hash, release.spec_hash, release.round, release.plan_hash,
          release.participants, release.reverted_to, release.test, release.cumulative_epsilon,
          release.created);
  if (format < 2) return;
  archive(release.last_revert, release.control_hash, release.control_bytes);
  if (!is_new() || release.control_hash.is_zero() != (release.control_bytes == 0)) {
    throw ArchiveRefusal("a release of format 2 that says nothing of it");
  }
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
  if (std::max({opened.adapter_bytes, opened.step_bytes, opened.control_bytes}) >
      limits::kReleaseBytes) {
    return Error{ErrorCode::kTooLarge,
                 cat("the release's content is over ", limits::kReleaseBytes, " bytes")};
  }
  if (opened.cumulative_epsilon < 0) {
    return Error{ErrorCode::kCorrupt, "the release states a negative privacy budget"};
  }
  return opened;
}

} // namespace coppice
