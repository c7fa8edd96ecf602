// SPDX-License-Identifier: Apache-2.0
// A release: signed, versioned shared adapter with its parent's hash.
//
// The content (a full adapter, or the step from the parent) travels apart, in chunks, and is
// checked against the hashes here. The content hash excludes keys, signatures, plan and time, so
// that a simulated run and a real one can be compared.
#pragma once

#include <string>

#include "adapters/step_codec.h"
#include "base/clock.h"
#include "base/ids.h"
#include "crypto/keys.h"
#include "crypto/sign.h"

namespace coppice {

enum class ReleaseReason : std::uint8_t { kInitial = 0, kRound = 1, kRevert = 2 };

// Of format 1 where the last three fields are zero, else of format 2.
struct Release {
  Sha256 fleet;
  Epoch epoch;
  AdapterVersion version;
  ReleaseReason reason = ReleaseReason::kInitial;
  Sha256 parent_hash;  // adapter hash of version - 1; zero for version 0
  Sha256 adapter_hash; // of serialize_adapter() of this version
  std::uint64_t adapter_bytes = 0;
  Sha256 step_hash; // of serialize_step(); zero if there is none (version 0)
  std::uint64_t step_bytes = 0;
  Sha256 base_hash;
  Sha256 spec_hash; // of AdapterSpec::encode()
  RoundId round;    // 0 if no round made it
  Sha256 plan_hash;
  std::uint32_t participants = 0;
  AdapterVersion reverted_to; // for kRevert: whose content this is
  bool test = false;
  double cumulative_epsilon = 0;
  Millis created; // wall clock
  // The newest release at or before this one that is a revert; 0: none. What devices keep of rounds
  // before it means nothing any more.
  AdapterVersion last_revert;
  // What devices' corrections need beside the adapter (DriftCorrection::kControlVariate): the hash
  // of serialize_adapter() of a vector in the adapter's shape, and its length; zero: nothing.
  Sha256 control_hash;
  std::uint64_t control_bytes = 0;
};

struct SignedRelease {
  Bytes bytes;
  Signature signature;
};

SignedRelease sign_release(const SigningKey& aggregator, const Release& release);
Result<Release> verify_release(const VerifyKey& aggregator, const SignedRelease& release);

} // namespace coppice
