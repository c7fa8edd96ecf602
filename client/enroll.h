// SPDX-License-Identifier: Apache-2.0
// Joining a fleet with an invite.
#pragma once

#include "client/device_folder.h"
#include "client/ledger.h"

namespace coppice {

// Checks the base file against the invite before anything is sent, asks on the enroll socket,
// verifies the certificate, and stores the membership. Repeating it after a lost reply is safe.
// kFailedPrecondition for a wrong base file, kUnauthenticated for a refused invite,
// kDeadlineExceeded if nobody answers.
Result<Membership> enroll(const DeviceFolder& folder, const Invite& invite, const fs::path& model,
                          Ledger& ledger, const Clock& clock, Millis timeout);

// Tells the aggregator that this device withdraws, and waits until it was said. Takes the folder's
// lock.
Result<void> leave_fleet(const DeviceFolder& folder, const Clock& clock, Millis timeout);

} // namespace coppice
