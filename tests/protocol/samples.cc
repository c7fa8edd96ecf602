// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/samples.h"

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice::samples {

Sha256 hash(std::uint8_t fill) {
  Sha256 made;
  made.bytes.fill(fill);
  return made;
}

AdapterSpec spec() {
  AdapterSpec made;
  made.architecture = "llama";
  made.targets = {
      {.tensor = "blk.0.attn_q", .in = 16, .out = 16, .rank = 4, .alpha = 8, .rope_heads = 2},
      {.tensor = "blk.0.ffn_up", .in = 16, .out = 40, .rank = 2, .alpha = 4, .rope_heads = 0}};
  return made;
}

std::shared_ptr<const AdapterSpec> shared_spec() {
  return std::make_shared<const AdapterSpec>(spec());
}

RoundPlan plan() {
  RoundPlan made;
  made.fleet = sha256(fleet_key().public_key().span());
  made.key_set = {3};
  made.epoch = {2};
  made.round = {17};
  made.base_hash = hash(0x10);
  made.adapter_hash = hash(0x11);
  made.parent = {16};
  made.test = true;
  made.required_features = {"rank-stabilized", "proximal"};
  made.sum = {.goal = 6, .min_survivors = 4, .cohort = 8, .max_weight = 16};
  auto slots = make_slots(spec(), RingBits{16}, 0.01, made.sum);
  made.slots = std::move(slots).value();
  made.recipe.learning_rate = 2e-3F;
  made.recipe.schedule = Schedule::kConstant;
  made.recipe.warmup_steps = 5;
  made.recipe.max_steps = 60;
  made.recipe.max_tokens = 50'000;
  made.recipe.max_seconds = 30;
  made.recipe.weight_decay = 0.01F;
  made.recipe.proximal_mu = 0.25F;
  made.recipe.train_a = false;
  made.recipe.early_stop_patience = 3;
  made.recipe.evaluate_every = 10;
  made.recipe.weight_by = WeightBy::kUniform;
  made.recipe.examples_per_weight = 9;
  made.recipe.seed = 99;
  made.clip_norm = 1.5;
  made.privacy.cumulative_epsilon = 0.5;
  made.deadline = {60'000};
  return made;
}

KeySet key_set() {
  return {.number = {3},
          .fleet = sha256(fleet_key().public_key().span()),
          .curve = server_curve().public_key(),
          .verify = aggregator_key().public_key(),
          .seal = seal_key().public_key(),
          .expires = {2'000'000}};
}

Certificate certificate() {
  return {.client = device_id(),
          .fleet = sha256(fleet_key().public_key().span()),
          .verify = device_key().public_key(),
          .curve = device_curve().public_key(),
          .expires = {3'000'000}};
}

Release release() {
  Release made;
  made.fleet = sha256(fleet_key().public_key().span());
  made.epoch = {2};
  made.version = {17};
  made.reason = ReleaseReason::kRevert;
  made.parent_hash = hash(0x20);
  made.adapter_hash = hash(0x21);
  made.adapter_bytes = 622'592;
  made.step_hash = hash(0x22);
  made.step_bytes = 311'400;
  made.base_hash = hash(0x10);
  made.spec_hash = hash(0x23);
  made.round = {17};
  made.plan_hash = hash(0x24);
  made.participants = 8;
  made.reverted_to = {12};
  made.test = true;
  made.cumulative_epsilon = 0.25;
  made.created = {1'700'000'000'000};
  return made;
}

Token token() {
  std::array<std::uint8_t, Token::kSize> raw{};
  raw.fill(0x77);
  return Token::from_span(raw).value();
}

Invite invite() {
  return {.fleet = fleet_key().public_key(),
          .keys = sign_key_set(fleet_key(), key_set()),
          .enroll_endpoint = "tcp://127.0.0.1:7003",
          .control_endpoint = "tcp://127.0.0.1:7001",
          .bulk_endpoint = "tcp://127.0.0.1:7002",
          .token = token(),
          .base_hash = hash(0x10),
          .base_bytes = 2'513'472,
          .expires = {4'000'000}};
}

EnrollRequest enroll_request() {
  return {.token = token(),
          .verify = device_key().public_key(),
          .curve = device_curve().public_key(),
          .base_hash = hash(0x10)};
}

EnrollReply enroll_reply() {
  return {.accepted = true,
          .reason = "welcome",
          .certificate = sign_certificate(fleet_key(), certificate())};
}

EnvelopeHeader header() {
  EnvelopeHeader made;
  made.sender = device_id();
  made.key_set = {3};
  made.sequence = 41;
  made.plan_hash = hash(0x30);
  return made;
}

std::vector<Message> messages() {
  const Bytes data = {1, 2, 3, 250, 251, 252};
  const SignedRelease signed_release = sign_release(aggregator_key(), release());
  return {
      CheckIn{.protocol_version = 1,
              .features = {"proximal"},
              .ready = true,
              .epoch = {2},
              .highest_round = {16},
              .version = {16},
              .adapter_hash = hash(0x21)},
      PlanAnswer{.round = {17}, .plan_hash = hash(0x30), .accepted = true},
      Ping{.nonce = 0x0123456789abcdef},
      Leave{},
      Welcome{.epoch = {2},
              .keys = sign_key_set(fleet_key(), key_set()),
              .release = signed_release,
              .heartbeat = {5000},
              .reconnect_after = {1000},
              .reconnect_window = {4000}},
      PlanOffer{.plan = sign_plan(aggregator_key(), plan()), .time_left = {55'000}},
      ReleaseNotice{.release = signed_release},
      RoundOver{.round = {17}, .released = true, .reason = "8 devices reported"},
      Pong{.nonce = 0xfedcba9876543210},
      Refusal{.code = 3, .reason = "this device was revoked", .retry_after = {9000}},
      UploadOffer{.round = {17}, .plan_hash = hash(0x30), .upload = hash(0x40), .size = 311'700},
      UploadChunk{.upload = hash(0x40), .index = 1, .data = data},
      Fetch{.content = hash(0x22), .first = 4, .count = 8},
      UploadCredit{.upload = hash(0x40), .next = 2, .credit = 6},
      UploadAck{.round = {17}, .upload = hash(0x40)},
      ContentChunk{.content = hash(0x22), .index = 1, .size = 262'150, .data = data},
      SecAggPiece{.plan_hash = hash(0x30), .index = 0, .pieces = 2, .data = data},
      Upload{.round = {17}, .plan_hash = hash(0x30), .packed = data},
  };
}

Bytes sealed_upload() {
  const Upload upload = std::get<Upload>(messages().back());
  return seal_upload(device_key(), header(), seal_key().public_key(), upload).value();
}

std::vector<std::pair<std::string, Bytes>> encodings() {
  std::vector<std::pair<std::string, Bytes>> all;
  for (const Message& message : messages()) {
    // What version 1 had: later messages are in no recording of it.
    if (type_of(message) == MessageType::kUpload || version_of(type_of(message)) > 1) continue;
    all.emplace_back(cat("envelope ", message_name(type_of(message))),
                     make_envelope(device_key(), header(), message).bytes);
  }
  all.emplace_back("plan", plan().encode());
  const SignedKeySet keys = sign_key_set(fleet_key(), key_set());
  all.emplace_back("key set", keys.bytes);
  all.emplace_back("key set signature",
                   Bytes(keys.signature.bytes.begin(), keys.signature.bytes.end()));
  all.emplace_back("certificate", sign_certificate(fleet_key(), certificate()).bytes);
  all.emplace_back("release", sign_release(aggregator_key(), release()).bytes);
  const std::string invite_text = encode_invite(invite());
  all.emplace_back("invite", Bytes(invite_text.begin(), invite_text.end()));
  all.emplace_back("enrolment request", encode_enroll_request(enroll_request(), device_key()));
  all.emplace_back("enrolment reply", encode_enroll_reply(enroll_reply(), aggregator_key()));
  return all;
}

} // namespace coppice::samples
