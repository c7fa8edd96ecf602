// SPDX-License-Identifier: Apache-2.0
// Did anything leave a device that should not have? The demo's check of its own promise.
//
// Lengths: every frame on the wire equals one ledger entry of its device. Contents: every frame a
// device sent, uploads opened with the aggregator's key, and everything the aggregator wrote to its
// folder, are searched for the devices' secrets, as they are and in base64. Positive controls: a
// planted secret and a frame that no ledger has must be found, or the audit itself is broken.
#pragma once

#include <string>
#include <vector>

#include "cli/demo_fleet.h"

namespace coppice {

struct DemoAudit {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  std::uint64_t transport_bytes = 0;
  std::uint64_t canaries_searched = 0;
  std::uint64_t canaries_found = 0;
  std::uint64_t unaccounted_bytes = 0;
  std::uint64_t uploads_opened = 0;
  bool controls_found = false; // both planted breaches
  std::vector<std::string> findings;
  bool clean() const { return canaries_found == 0 && unaccounted_bytes == 0 && controls_found; }
};

Result<DemoAudit> audit_demo(const DemoFleet& fleet);

// A secret as searched for: itself, and its base64 at each of the three alignments.
std::vector<Bytes> needles_for(const std::string& secret);

} // namespace coppice
