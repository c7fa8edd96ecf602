// SPDX-License-Identifier: Apache-2.0
// Did anything leave a device that should not have? The demo's check of its own promise.
//
// Lengths: every frame on the wire equals one ledger entry of its device. Contents: every frame a
// device sent, uploads opened with the aggregator's key, and everything the aggregator wrote to its
// folder, are searched for the devices' secrets, as they are and in base64, and for the devices'
// deltas in every form (demo_contents.h), in the aggregator's memory too; with secure aggregation
// an opened upload must look like noise. Positive controls: a planted secret, a frame that no
// ledger has, and an upload as it would be without secure aggregation must be found, or the audit
// itself is broken.
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
  std::uint64_t deltas_searched = 0;
  std::uint64_t deltas_found = 0; // devices' deltas outside the devices
  std::uint64_t uploads_not_uniform = 0;
  double least_uniform = 0;       // the largest distance of an upload, in standard deviations
  std::uint64_t memory_bytes = 0; // of the aggregator's, searched
  bool controls_found = false;    // all planted breaches
  std::vector<std::string> findings;
  bool clean() const {
    return canaries_found == 0 && unaccounted_bytes == 0 && deltas_found == 0 &&
           uploads_not_uniform == 0 && controls_found;
  }
};

Result<DemoAudit> audit_demo(const DemoFleet& fleet);

// A secret as searched for: itself, and its base64 at each of the three alignments.
std::vector<Bytes> needles_for(const std::string& secret);

} // namespace coppice
