// SPDX-License-Identifier: Apache-2.0
// Every message between device and aggregator, each a plain struct. docs/protocol.md has the bytes.
//
// control socket: check-ins, plans, notices, heartbeats. bulk socket: uploads and releases in
// chunks, with credit. enroll socket: one fixed-size message, protocol/enrollment.h.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "protocol/key_set.h"
#include "protocol/release.h"
#include "protocol/round_plan.h"

namespace coppice {

struct SignedPlan {
  Bytes bytes; // RoundPlan::encode()
  Signature signature;
};
SignedPlan sign_plan(const SigningKey& aggregator, const RoundPlan& plan);
Result<RoundPlan> verify_plan(const VerifyKey& aggregator, const SignedPlan& plan);

// ---- device to aggregator, control ----

// First message of a connection, and again whenever readiness changes. `ready` false is "not now":
// why stays in the device's own log.
struct CheckIn {
  std::uint16_t protocol_version = limits::kProtocolVersion;
  std::vector<std::string> features;
  bool ready = false;
  Epoch epoch;            // highest seen
  RoundId highest_round;  // a restored aggregator learns from these
  AdapterVersion version; // of the shared adapter held
  Sha256 adapter_hash;    // its hash; zero if none is held
};
struct PlanAnswer {
  RoundId round;
  Sha256 plan_hash;
  bool accepted = false;
};
struct Ping {
  std::uint64_t nonce = 0;
};
struct Leave {}; // the device withdraws; its certificate is revoked

// ---- aggregator to device, control ----

struct Welcome {
  Epoch epoch;
  SignedKeySet keys;       // newest
  SignedRelease release;   // newest
  Millis heartbeat;        // send a Ping if nothing else was sent for this long
  Millis reconnect_after;  // after a lost connection wait this long,
  Millis reconnect_window; // plus a uniform share of this
};
struct PlanOffer {
  SignedPlan plan;
  Millis time_left; // of the plan's deadline
};
struct ReleaseNotice {
  SignedRelease release;
};
struct RoundOver { // to every member of the cohort
  RoundId round;
  bool released = false; // false: abandoned, nothing of it is used
  std::string reason;
};
struct Pong {
  std::uint64_t nonce = 0;
};
struct Refusal {          // of the last message; the connection stays
  std::uint32_t code = 0; // ErrorCode
  std::string reason;
  Millis retry_after; // 0: don't
};

// ---- device to aggregator, bulk ----

// Announces a finished upload; named by the SHA-256 of its bytes (an Envelope of type kUpload).
struct UploadOffer {
  RoundId round;
  Sha256 plan_hash;
  Sha256 upload;
  std::uint64_t size = 0;
};
struct UploadChunk {
  Sha256 upload;
  std::uint32_t index = 0; // chunks come in order, limits::kChunkBytes each but the last
  Bytes data;
};
struct Fetch { // asks for chunks [first, first + count) of a release's step or adapter
  Sha256 content;
  std::uint32_t first = 0;
  std::uint32_t count = 0; // at most limits::kCreditChunks
};

// ---- aggregator to device, bulk ----

struct UploadCredit { // chunks below `next` are here; up to `credit` more may be under way
  Sha256 upload;
  std::uint32_t next = 0;
  std::uint32_t credit = 0;
};
struct UploadAck { // it is in the committed sum, once
  RoundId round;
  Sha256 upload;
};
struct ContentChunk {
  Sha256 content;
  std::uint32_t index = 0;
  std::uint64_t size = 0; // of the whole content
  Bytes data;
};

// ---- both ways, bulk ----

// A message of secure aggregation (secagg_messages.h), encoded; long ones are cut into pieces that
// come in order. A device's are one piece each.
struct SecAggPiece {
  Sha256 plan_hash;
  std::uint32_t index = 0;
  std::uint32_t pieces = 1;
  Bytes data; // at most limits::kChunkBytes
};

// ---- the body of an upload: sealed, and never sent otherwise ----
struct Upload {
  RoundId round;
  Sha256 plan_hash;
  Bytes packed; // slots in order, each packed at its own width (ring_pack), byte-aligned per slot
};

using Message = std::variant<CheckIn, PlanAnswer, Ping, Leave, Welcome, PlanOffer, ReleaseNotice,
                             RoundOver, Pong, Refusal, UploadOffer, UploadChunk, Fetch,
                             UploadCredit, UploadAck, ContentChunk, SecAggPiece, Upload>;

// Wire numbers: never reused. The index in `Message` is not on the wire.
enum class MessageType : std::uint16_t {
  kCheckIn = 1,
  kPlanAnswer = 2,
  kPing = 3,
  kLeave = 4,
  kWelcome = 16,
  kPlanOffer = 17,
  kReleaseNotice = 18,
  kRoundOver = 19,
  kPong = 20,
  kRefusal = 21,
  kUploadOffer = 32,
  kUploadChunk = 33,
  kFetch = 34,
  kUploadCredit = 48,
  kUploadAck = 49,
  kContentChunk = 50,
  kSecAggPiece = 56, // version 2
  kUpload = 64,
};
MessageType type_of(const Message& message);
const char* message_name(MessageType type);
std::uint16_t version_of(MessageType type); // the protocol version that brought it

} // namespace coppice
