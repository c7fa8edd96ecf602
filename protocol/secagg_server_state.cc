// SPDX-License-Identifier: Apache-2.0
// What the server decided, to bytes and back: {record (protocol/archive.h), SHA-256 of it}. The
// checksum catches damage, not an attacker.
#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/secagg_archive.h"
#include "protocol/secagg_server.h"
#include "protocol/secagg_server_parts.h"

namespace coppice {

// The keys are those of the advert.
template <typename Archive>
void serialize(Archive& archive, SecAggMember& value) {
  archive(value.client, value.advert, value.certificate);
}

namespace {

enum class PhaseNumber : std::uint8_t {
  kGathering,
  kOpening,
  kSharing,
  kCollecting,
  kUnmasking,
  kFinished,
  kLost,
};
static_assert(std::variant_size_v<SecAggServerPhase> == 7);

struct Dealt { // by whom, and what is still needed of it
  std::uint32_t member = 0;
  ShareBoxes boxes;
};
template <typename Archive>
void serialize(Archive& archive, Dealt& value) {
  archive(value.member, value.boxes);
}

// The decisions of every phase: what a phase doesn't have is not written.
struct Record {
  PhaseNumber phase = PhaseNumber::kLost;
  Sha256 plan_hash;
  std::vector<ClientId> out;
  std::string reason;                // kLost only
  std::uint8_t attempt = 0;          // to kUnmasking
  std::vector<ClientId> asked;       // kGathering only
  std::vector<SecAggMember> members; // from kOpening to kUnmasking
  GraphParameters parameters;
  std::vector<GraphNonce> nonces; // from kSharing
  std::vector<Dealt> dealt;       // from kCollecting
  SurvivorList survivors;         // kUnmasking only
};

template <typename Archive>
void serialize(Archive& archive, Record& value) {
  constexpr std::size_t kMemberBytes = ClientId::kSize + 2 * kStatementItemBytes;
  constexpr std::size_t kDealtBytes = 2 * sizeof(std::uint32_t) + 2 * Sha256::kSize;
  archive(FormatField{1}, enum_field(value.phase, PhaseNumber::kLost), value.plan_hash,
          list_field(value.out, limits::kClients, ClientId::kSize));
  if (value.phase == PhaseNumber::kLost) {
    archive(sentence_field(value.reason));
  }
  if (value.phase >= PhaseNumber::kFinished) return;
  archive(AttemptField{value.attempt});
  if (value.phase == PhaseNumber::kGathering) {
    archive(list_field(value.asked, limits::kRosterMembers, ClientId::kSize));
    return;
  }
  archive(list_field(value.members, limits::kRosterMembers, kMemberBytes), value.parameters);
  if (value.phase >= PhaseNumber::kSharing) {
    archive(list_field(value.nonces, limits::kRosterMembers, sizeof(GraphNonce)));
  }
  if (value.phase >= PhaseNumber::kCollecting) {
    archive(list_field(value.dealt, limits::kRosterMembers, kDealtBytes));
  }
  if (value.phase == PhaseNumber::kUnmasking) archive(value.survivors);
}

void record(Record& into, const SecAggGathering& gathering) {
  into.attempt = gathering.attempt;
  into.asked.assign(gathering.asked.begin(), gathering.asked.end());
}
void record(Record& into, const SecAggOpening& opening) {
  into.attempt = opening.roster.attempt;
  into.members = opening.members;
  into.parameters = opening.parameters;
}
void record(Record& into, const SecAggSharing& sharing) {
  into.attempt = sharing.roster.attempt;
  into.members = sharing.members;
  into.parameters = sharing.parameters;
  into.nonces = sharing.nonces;
}
void record(Record& into, const SecAggCollecting& collecting) {
  record(into, collecting.sharing);
  for (const auto& [member, boxes] : collecting.sharing.boxes)
    into.dealt.push_back({member, boxes});
}
void record(Record& into, const SecAggUnmasking& unmasking) {
  record(into, unmasking.sharing);
  for (const auto& [member, boxes] : unmasking.sharing.boxes) into.dealt.push_back({member, boxes});
  into.survivors = unmasking.survivors;
}
void record(Record&, const SecAggFinished&) {}
void record(Record& into, const SecAggLost& lost) { into.reason = lost.reason; }

Error damaged(std::string_view what) {
  return {ErrorCode::kCorrupt, cat("the stored state of secure aggregation is damaged: ", what,
                                   "; the round is abandoned")};
}

template <typename Items, typename Key>
bool strictly_sorted(const Items& items, Key key) {
  return std::ranges::adjacent_find(items, std::ranges::greater_equal{}, key) == items.end();
}

// Members as a roster has them, with the keys that their adverts hold.
bool members_hold(Record& from) {
  for (SecAggMember& member : from.members) {
    auto keys = decode_advert(member.advert.bytes);
    if (!keys || keys->client != member.client || keys->plan_hash != from.plan_hash ||
        keys->attempt != from.attempt) {
      return false;
    }
    member.keys = *std::move(keys);
  }
  return strictly_sorted(from.members, &SecAggMember::client) &&
         graph_fits(from.members.size(), from.parameters);
}

bool nonces_hold(const Record& from) {
  if (from.nonces.size() != from.members.size()) return false;
  for (std::size_t i = 0; i < from.nonces.size(); ++i) {
    const SecAggMember& member = from.members[i];
    if (commit_nonce(from.nonces[i], member.client, from.plan_hash, from.attempt) !=
        member.keys.nonce_commitment) {
      return false;
    }
  }
  return true;
}

// Boxes are there while they are to be delivered.
bool dealt_holds(const Record& from, const SecAggSharing& sharing) {
  return strictly_sorted(from.dealt, &Dealt::member) &&
         std::ranges::all_of(from.dealt, [&](const Dealt& dealt) {
           if (dealt.member >= from.members.size() ||
               dealt.boxes.roster_hash != sharing.roster_hash) {
             return false;
           }
           if (from.phase == PhaseNumber::kUnmasking) return dealt.boxes.boxes.empty();
           return std::ranges::equal(sharing.graph.neighbours(dealt.member), dealt.boxes.boxes, {},
                                     {}, &ShareBox::member);
         });
}

bool survivors_hold(const Record& from, const SecAggSharing& sharing) {
  const auto members = static_cast<std::uint32_t>(from.members.size());
  std::vector<std::uint32_t> shared;
  std::vector<std::uint32_t> alive;
  for (const Dealt& dealt : from.dealt) {
    shared.push_back(dealt.member);
    if (bit_of(from.survivors.survivors, dealt.member)) alive.push_back(dealt.member);
  }
  return from.survivors == SurvivorList{.roster_hash = sharing.roster_hash,
                                        .shared = bits_of(shared, members),
                                        .survivors = bits_of(alive, members)};
}

Result<SecAggServerPhase> restore_sharing(Record& from, Roster roster) {
  if (!nonces_hold(from)) return damaged("its nonces");
  const Sha256 roster_hash = roster.hash();
  SecAggGraph graph(roster_hash, from.nonces, from.parameters.degree);
  SecAggSharing sharing{.members = from.members,
                        .roster = std::move(roster),
                        .roster_hash = roster_hash,
                        .parameters = from.parameters,
                        .nonces = from.nonces,
                        .graph = std::move(graph),
                        .boxes = {}};
  if (from.phase == PhaseNumber::kSharing) return SecAggServerPhase{std::move(sharing)};
  if (!dealt_holds(from, sharing)) return damaged("its share boxes");
  for (Dealt& dealt : from.dealt) sharing.boxes.emplace(dealt.member, std::move(dealt.boxes));
  if (from.phase == PhaseNumber::kCollecting) {
    return SecAggServerPhase{SecAggCollecting{std::move(sharing)}};
  }
  if (!survivors_hold(from, sharing)) return damaged("its survivors' list");
  const auto wanted = count_wanted(sharing, from.survivors.survivors);
  if (!wanted || *wanted == 0) return damaged("its survivors");
  return SecAggServerPhase{SecAggUnmasking{.sharing = std::move(sharing),
                                           .survivors = std::move(from.survivors),
                                           .answers = {},
                                           .wanted = *wanted,
                                           .recovery = {}}};
}

Result<SecAggServerPhase> restore_phase(Record& from) {
  if (from.phase == PhaseNumber::kFinished) return SecAggServerPhase{SecAggFinished{}};
  if (from.phase == PhaseNumber::kLost) {
    return SecAggServerPhase{SecAggLost{std::move(from.reason)}};
  }
  if (from.phase == PhaseNumber::kGathering) {
    if (!strictly_sorted(from.asked, std::identity{})) return damaged("its list of devices");
    return SecAggServerPhase{SecAggGathering{
        .attempt = from.attempt, .asked = {from.asked.begin(), from.asked.end()}, .adverts = {}}};
  }
  if (!members_hold(from)) return damaged("its members");
  Roster roster = make_roster(from.members, from.plan_hash, from.attempt);
  if (from.phase != PhaseNumber::kOpening) return restore_sharing(from, std::move(roster));
  const Sha256 roster_hash = roster.hash();
  return SecAggServerPhase{SecAggOpening{.members = std::move(from.members),
                                         .roster = std::move(roster),
                                         .roster_hash = roster_hash,
                                         .parameters = from.parameters,
                                         .nonces = {}}};
}

} // namespace

Bytes SecAggServer::serialize() const {
  Record made;
  made.phase = static_cast<PhaseNumber>(phase_.index());
  made.plan_hash = context_.plan_hash;
  made.out.assign(out_.begin(), out_.end());
  std::visit([&made](const auto& phase) { record(made, phase); }, phase_);
  Bytes state = encode_value(made);
  const Sha256 checksum = sha256(state);
  state.insert(state.end(), checksum.bytes.begin(), checksum.bytes.end());
  return state;
}

Result<SecAggServer> SecAggServer::restore(SecAggServerContext context, ByteSpan state) {
  if (state.size() < Sha256::kSize) return damaged("its length");
  const ByteSpan summed = state.first(state.size() - Sha256::kSize);
  if (!std::ranges::equal(sha256(summed).bytes, state.last(Sha256::kSize))) {
    return damaged("its checksum");
  }
  Record from = COPPICE_TRY(decode_value<Record>(summed, "the stored state of secure aggregation"));
  if (from.plan_hash != context.plan_hash) {
    return Error{ErrorCode::kFailedPrecondition,
                 "the stored state of secure aggregation is of another round"};
  }
  if (!strictly_sorted(from.out, std::identity{})) return damaged("its list of devices");
  SecAggServerPhase phase = COPPICE_TRY(restore_phase(from));
  return SecAggServer(context, {from.out.begin(), from.out.end()}, std::move(phase));
}

} // namespace coppice
