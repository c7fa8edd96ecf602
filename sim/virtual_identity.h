// SPDX-License-Identifier: Apache-2.0
// Who a virtual device is: keys and an id that follow from the simulation's seed and its number.
//
// For simulations and tests alone: whoever knows the seed knows every key. Plans of such fleets are
// marked `test`, and devices of real fleets refuse them. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/key_set.h"

namespace coppice {

SigningKey virtual_signing_key(std::uint64_t seed, std::uint64_t device);
const FleetSigningKey& virtual_fleet_key();
SignedCertificate virtual_certificate(const SigningKey& key);

// What a device with that key is called; where nothing is signed, a hash in its place is a hundred
// times cheaper.
ClientId virtual_client_id(std::uint64_t seed, std::uint64_t device);
ClientId hashed_client_id(std::uint64_t seed, std::uint64_t device);
// Of many at once, on as many threads as there are cores.
std::vector<ClientId> virtual_client_ids(std::uint64_t seed,
                                         std::span<const std::uint64_t> devices);

} // namespace coppice
