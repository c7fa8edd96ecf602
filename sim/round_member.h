// SPDX-License-Identifier: Apache-2.0
// A member of a round in virtual time: the inside of sim/round_play.h.
#pragma once

#include "crypto/mask_stream.h"
#include "sim/round_play.h"

namespace coppice {

struct RoundPlay::Member {
  DeviceNumber device = 0;
  ClientId id;
  std::optional<SigningKey> signing; // with SimulatedSum::kFull
  SignedCertificate certificate;
  std::optional<DeviceRound> round; // from the plan's arrival on
  bool gone = false;
  Nanos leaves;                          // when it vanishes, at the latest
  std::array<bool, kDropPhases> drops{}; // where else it vanishes
  double training_share = 1;             // of its training that it does, if it vanishes there
  Nanos training_time;                   // this round's
  std::vector<SignedSeed> masks;         // of its upload
  std::uint64_t sequence = 0;            // of its events
};

} // namespace coppice
