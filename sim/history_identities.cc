// SPDX-License-Identifier: Apache-2.0
#include "sim/history_identities.h"

#include <array>
#include <vector>

#include "crypto/hash.h"
#include "sim/model_primitives.h"

namespace coppice {
namespace {

template <typename Key>
Key numbered_key(std::uint8_t number) {
  std::array<std::uint8_t, 32> secret{};
  secret.fill(number);
  return Key::from_secret(Secret<32>::copy_of(secret));
}

const FleetSigningKey& fleet_key() {
  static const auto key = numbered_key<FleetSigningKey>(1);
  return key;
}

std::vector<HistoryIdentity> make_identities() {
  std::vector<HistoryIdentity> made;
  for (std::size_t i = 0; i < kMostHistoryDevices; ++i) {
    auto signing = numbered_key<SigningKey>(static_cast<std::uint8_t>(100 + i));
    const VerifyKey verify = signing.public_key();
    const ClientId id = client_id_of(verify);
    made.push_back(
        {.signing = std::move(signing),
         .verify = verify,
         .id = id,
         .real = sign_certificate(fleet_key(), {.client = id,
                                                .fleet = sha256(history_fleet_key().span()),
                                                .verify = verify,
                                                .curve = {},
                                                .expires = Millis{1'000'000}}),
         .modelled = ModelPrimitives::certify(history_fleet_key(), id, verify)});
  }
  return made;
}

} // namespace

const FleetVerifyKey& history_fleet_key() {
  static const FleetVerifyKey key = fleet_key().public_key();
  return key;
}

const HistoryIdentity& history_identity(std::size_t which) {
  static const std::vector<HistoryIdentity> identities = make_identities();
  return identities.at(which);
}

} // namespace coppice
