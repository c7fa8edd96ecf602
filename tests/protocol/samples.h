// SPDX-License-Identifier: Apache-2.0
// One value of everything that travels, always the same: keys from fixed seeds, no field at its
// default.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/enrollment.h"
#include "protocol/envelope.h"

namespace coppice::samples {

template <typename Key>
Key key(std::uint8_t seed) {
  std::array<std::uint8_t, 32> raw{};
  raw.fill(seed);
  return Key::from_secret(Secret<32>::copy_of(raw));
}
inline SigningKey device_key() { return key<SigningKey>(1); }
inline SigningKey aggregator_key() { return key<SigningKey>(2); }
inline FleetSigningKey fleet_key() { return key<FleetSigningKey>(3); }
inline SealKey seal_key() { return key<SealKey>(4); }
inline CurveSecretKey server_curve() { return key<CurveSecretKey>(5); }
inline CurveSecretKey device_curve() { return key<CurveSecretKey>(6); }
inline ClientId device_id() { return client_id_of(device_key().public_key()); }

Sha256 hash(std::uint8_t fill); // 32 times that byte
AdapterSpec spec();
std::shared_ptr<const AdapterSpec> shared_spec();
RoundPlan plan(); // valid for spec()
KeySet key_set();
Certificate certificate();
Release release();
Invite invite();
EnrollRequest enroll_request();
EnrollReply enroll_reply();

// One message of each type, in the order of Message's alternatives, with small contents.
std::vector<Message> messages();

EnvelopeHeader header();

// (name, canonical bytes) of all of the above, as they are sent or kept: what recorded_v1.txt
// holds.
std::vector<std::pair<std::string, Bytes>> encodings();

// The sealed upload, which is never twice the same.
Bytes sealed_upload();

} // namespace coppice::samples
