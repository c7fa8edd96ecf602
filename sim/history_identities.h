// SPDX-License-Identifier: Apache-2.0
// Who the devices of histories are: keys and certificates, made once a process and always the same.
#pragma once

#include "protocol/key_set.h"

namespace coppice {

inline constexpr std::size_t kMostHistoryDevices = 6;

struct HistoryIdentity {
  SigningKey signing;
  VerifyKey verify;
  ClientId id;
  SignedCertificate real;
  SignedCertificate modelled; // what ModelPrimitives open
};
const HistoryIdentity& history_identity(std::size_t which);
const FleetVerifyKey& history_fleet_key();

} // namespace coppice
