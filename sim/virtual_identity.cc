// SPDX-License-Identifier: Apache-2.0
#include "sim/virtual_identity.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/random.h"
#include "crypto/hash.h"
#include "sim/thread_team.h"

namespace coppice {
namespace {

template <typename Key>
Key keyed(std::uint64_t seed, std::uint64_t number, std::uint64_t step) {
  KeyedRandom random(
      {.experiment = seed, .client = number, .purpose = RandomPurpose::kSimulation, .step = step});
  std::array<std::uint8_t, 32> secret{};
  for (std::size_t i = 0; i < secret.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next_u64();
    std::memcpy(&secret[i], &word, sizeof(word));
  }
  return Key::from_secret(Secret<32>::copy_of(secret));
}

constexpr std::uint64_t kDeviceKeys = 0x6b657973; // RandomKey::step of what is drawn here
constexpr std::uint64_t kDeviceIds = 0x696473;

} // namespace

SigningKey virtual_signing_key(std::uint64_t seed, std::uint64_t device) {
  return keyed<SigningKey>(seed, device, kDeviceKeys);
}

const FleetSigningKey& virtual_fleet_key() {
  static const auto key = keyed<FleetSigningKey>(0, 0, kDeviceKeys);
  return key;
}

SignedCertificate virtual_certificate(const SigningKey& key) {
  return sign_certificate(virtual_fleet_key(),
                          {.client = client_id_of(key.public_key()),
                           .fleet = sha256(virtual_fleet_key().public_key().span()),
                           .verify = key.public_key(),
                           .curve = {},
                           .expires = Millis{0}});
}

ClientId virtual_client_id(std::uint64_t seed, std::uint64_t device) {
  return client_id_of(virtual_signing_key(seed, device).public_key());
}

std::vector<ClientId> virtual_client_ids(std::uint64_t seed,
                                         std::span<const std::uint64_t> devices) {
  constexpr std::size_t kFewest = 64; // of a thread: a key takes some 30 microseconds
  std::vector<ClientId> ids(devices.size());
  const auto make = [&](std::size_t i) { ids[i] = virtual_client_id(seed, devices[i]); };
  const std::size_t threads =
      std::min<std::size_t>(std::thread::hardware_concurrency(), ids.size() / kFewest);
  if (threads > 1) {
    ThreadTeam(static_cast<unsigned>(threads)).for_each(ids.size(), make);
  } else {
    for (std::size_t i = 0; i < ids.size(); ++i) make(i);
  }
  return ids;
}

ClientId hashed_client_id(std::uint64_t seed, std::uint64_t device) {
  KeyedRandom random({.experiment = seed,
                      .client = device,
                      .purpose = RandomPurpose::kSimulation,
                      .step = kDeviceIds});
  ClientId id;
  for (std::size_t i = 0; i < id.bytes.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next_u64();
    std::memcpy(&id.bytes[i], &word, sizeof(word));
  }
  return id;
}

} // namespace coppice
