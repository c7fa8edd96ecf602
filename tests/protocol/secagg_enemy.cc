// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/secagg_enemy.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "tests/protocol/samples.h"

namespace coppice {

SecAggEnemy::SecAggEnemy(std::uint32_t members, std::uint32_t min_survivors, GraphAssumptions owner)
    : victim_signing_(samples::device_key()),
      victim_id_(client_id_of(victim_signing_.public_key())),
      min_survivors_(min_survivors),
      owner_(owner),
      victim_(context()) {
  for (std::uint32_t i = 0; i + 1 < members; ++i) {
    SigningKey signing = samples::key<SigningKey>(static_cast<std::uint8_t>(100 + i));
    const VerifyKey verify = signing.public_key();
    const ClientId id = client_id_of(verify);
    Puppet made{.signing = std::move(signing),
                .id = id,
                .box = primitives_.agreement_key(primitives_.random_secret()),
                .mask = primitives_.agreement_key(primitives_.random_secret()),
                .keys = {},
                .advert = {},
                .certificate = ModelPrimitives::certify(fleet_key().public_key(), id, verify),
                .nonce = primitives_.random_nonce()};
    made.keys = {.client = id,
                 .plan_hash = context().plan_hash,
                 .attempt = 0,
                 .box_key = made.box.public_key(),
                 .mask_key = made.mask.public_key(),
                 .nonce_commitment = commit_nonce(made.nonce, id, context().plan_hash, 0)};
    sign(made);
    puppets_.push_back(std::move(made));
  }
}

FleetSigningKey SecAggEnemy::fleet_key() { return samples::fleet_key(); }

SecAggClientContext SecAggEnemy::context() const {
  return {.primitives = primitives_,
          .signing = victim_signing_,
          .id = victim_id_,
          .fleet_key = fleet_key().public_key(),
          .plan_hash = samples::hash(0x51),
          .plan = {},
          .owner = owner_,
          .min_survivors = min_survivors_};
}

void SecAggEnemy::sign(Puppet& puppet) {
  puppet.advert.bytes = encode_advert(puppet.keys);
  puppet.advert.signature = primitives_.sign_advert(puppet.signing, puppet.advert.bytes);
}

Roster SecAggEnemy::roster() {
  const auto& mine = std::get<SecAggAdvertised>(victim_.phase());
  victim_keys_ = decode_advert(mine.advert.bytes).value();
  Roster made{.plan_hash = context().plan_hash, .attempt = mine.attempt, .entries = {}};
  made.entries.push_back({victim_id_, sha256(mine.advert.bytes), victim_keys_.nonce_commitment});
  for (const Puppet& puppet : puppets_) {
    made.entries.push_back(
        {puppet.id, sha256(puppet.advert.bytes),
         commit_nonce(puppet.nonce, puppet.id, context().plan_hash, mine.attempt)});
  }
  std::ranges::sort(made.entries, {}, &RosterEntry::client);
  for (std::uint32_t i = 0; i < made.entries.size(); ++i) {
    const auto whose = std::ranges::find(puppets_, made.entries[i].client, &Puppet::id);
    if (whose != puppets_.end()) whose->member = i;
  }
  return made;
}

SecAggEnemy::Puppet& SecAggEnemy::of(std::uint32_t member) {
  return *std::ranges::find(puppets_, member, &Puppet::member);
}

GraphOpening SecAggEnemy::opening() {
  const auto& opened = std::get<SecAggOpened>(victim_.phase());
  GraphOpening made{.roster_hash = opened.roster_hash, .nonces = {}, .neighbours = {}};
  for (std::uint32_t i = 0; i <= puppets_.size(); ++i) {
    made.nonces.push_back(i == opened.me ? opened.keys.nonce : of(i).nonce);
  }
  const SecAggGraph graph(made.roster_hash, made.nonces, opened.parameters.degree);
  for (const std::uint32_t member : graph.neighbours(opened.me)) {
    made.neighbours.push_back({member, of(member).advert, of(member).certificate});
  }
  return made;
}

Bytes SecAggEnemy::box_from(std::uint32_t member, std::uint32_t to) {
  const Bytes plain(2 * sizeof(SecretShare), static_cast<std::uint8_t>(member + 1));
  const ShareBoxKeys keys =
      primitives_.box_keys(of(member).box, victim_keys_.box_key, victim_.roster_hash()).value();
  return primitives_.seal_box(keys.sealing, {.from = member, .to = to}, plain);
}

ShareInbox SecAggEnemy::inbox() {
  const auto& shared = std::get<SecAggShared>(victim_.phase());
  ShareInbox made{.roster_hash = shared.roster_hash, .boxes = {}};
  for (const SecAggNeighbour& neighbour : shared.neighbours) {
    made.boxes.push_back({neighbour.member, box_from(neighbour.member, shared.me)});
  }
  return made;
}

SurvivorList SecAggEnemy::survivors() {
  const auto members = static_cast<std::uint32_t>(puppets_.size() + 1);
  std::vector<std::uint32_t> all;
  for (std::uint32_t i = 0; i < members; ++i) all.push_back(i);
  return {.roster_hash = victim_.roster_hash(),
          .shared = bits_of(all, members),
          .survivors = bits_of(all, members)};
}

void SecAggEnemy::until_roster() { victim_.start(); }

void SecAggEnemy::until_opening() {
  until_roster();
  victim_.handle(roster());
}

void SecAggEnemy::until_inbox() {
  until_opening();
  victim_.handle(opening());
}

void SecAggEnemy::until_survivors() {
  until_inbox();
  victim_.handle(inbox());
}

std::string why_stopped(SecAggEnemy& enemy, const std::vector<SecAggClientAction>& actions) {
  if (actions.size() != 2 || !std::holds_alternative<PersistSecAgg>(actions[0]) ||
      !std::holds_alternative<SecAggRefused>(actions[1])) {
    return cat("it did ", actions.size(), " things, and is ", enemy.victim().phase_name());
  }
  const auto* stopped = std::get_if<SecAggStopped>(&enemy.victim().phase());
  if (stopped == nullptr) return cat("it is ", enemy.victim().phase_name());
  auto restored = SecAggClient::restore(enemy.context(), std::get<PersistSecAgg>(actions[0]).state);
  if (!restored) return restored.error().message;
  for (SecAggClient* device : {&enemy.victim(), &*restored}) {
    if (!std::holds_alternative<SecAggStopped>(device->phase()) || !device->say_again().empty() ||
        !device->handle(Readvertise{enemy.context().plan_hash, 1}).empty() || device->masks()) {
      return "it goes on";
    }
  }
  return stopped->reason;
}

} // namespace coppice
