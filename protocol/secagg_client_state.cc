// SPDX-License-Identifier: Apache-2.0
// A device's state to bytes and back: Note [Persisted state].
#include <algorithm>

#include "crypto/hash.h"
#include "protocol/secagg_archive.h"
#include "protocol/secagg_client_checks.h"

namespace coppice {

template <typename Archive>
void serialize(Archive& archive, SecAggNeighbour& value) {
  archive(value.member, value.box_key, value.mask_key);
}

namespace {

enum class PhaseNumber : std::uint8_t {
  kAdvertised,
  kOpened,
  kShared,
  kMasked,
  kAnswered,
  kStopped,
};
static_assert(std::variant_size_v<SecAggClientPhase> == 6);

constexpr std::size_t kSecrets = 3; // box, mask, self
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kTailBytes = kSecrets * kSecretBytes + Sha256::kSize;

// The public part of every phase: what a phase doesn't have is not written.
struct Record {
  PhaseNumber phase = PhaseNumber::kStopped;
  Sha256 plan_hash;
  ClientId client;
  std::string reason; // kStopped only
  std::uint8_t attempt = 0;
  GraphNonce nonce{};
  SignedAdvert advert;
  Roster roster; // kOpened only
  std::uint32_t me = 0;
  GraphParameters parameters;
  Sha256 roster_hash; // from kShared on, as the rest
  std::uint32_t members = 0;
  std::vector<SecAggNeighbour> neighbours;
  ShareBoxes boxes;
  ShareInbox inbox;       // from kMasked on
  SurvivorList survivors; // kAnswered
};

template <typename Archive>
void serialize(Archive& archive, Record& value) {
  constexpr std::size_t kNeighbourBytes = sizeof(std::uint32_t) + 2 * AgreementPublicKey::kSize;
  archive(FormatField{1}, enum_field(value.phase, PhaseNumber::kStopped), value.plan_hash,
          value.client);
  if (value.phase == PhaseNumber::kStopped) {
    archive(sentence_field(value.reason));
    return;
  }
  archive(AttemptField{value.attempt}, value.nonce, value.advert);
  if (value.phase == PhaseNumber::kAdvertised) return;
  archive(value.me, value.parameters);
  if (value.phase == PhaseNumber::kOpened) {
    archive(value.roster);
    return;
  }
  archive(value.roster_hash, value.members,
          list_field(value.neighbours, limits::kGraphDegree, kNeighbourBytes), value.boxes);
  if (value.phase >= PhaseNumber::kMasked) archive(value.inbox);
  if (value.phase == PhaseNumber::kAnswered) archive(value.survivors);
}

void record(Record& into, const SecAggAdvertised& keys) {
  into.attempt = keys.attempt;
  into.nonce = keys.nonce;
  into.advert = keys.advert;
}
void record(Record& into, const SecAggOpened& opened) {
  record(into, opened.keys);
  into.roster = opened.roster;
  into.me = opened.me;
  into.parameters = opened.parameters;
}
void record(Record& into, const SecAggShared& shared) {
  record(into, shared.keys);
  into.roster_hash = shared.roster_hash;
  into.members = shared.members;
  into.me = shared.me;
  into.parameters = shared.parameters;
  into.neighbours = shared.neighbours;
  into.boxes = shared.boxes;
}
void record(Record& into, const SecAggMasked& masked) {
  record(into, masked.shared);
  into.inbox = masked.inbox;
}
void record(Record& into, const SecAggAnswered& answered) {
  record(into, answered.masked);
  into.survivors = answered.survivors;
}
void record(Record& into, const SecAggStopped& stopped) { into.reason = stopped.reason; }

// Box, mask and self secret of a phase; null where it has none.
struct Secrets {
  const Secret<32>* box = nullptr;
  const Secret<32>* mask = nullptr;
  const Secret<32>* self = nullptr;
};
Secrets secrets_of(const SecAggAdvertised& keys) {
  return {&keys.box.secret(), &keys.mask.secret()};
}
Secrets secrets_of(const SecAggOpened& opened) { return secrets_of(opened.keys); }
Secrets secrets_of(const SecAggShared& shared) {
  return {&shared.keys.box.secret(), &shared.keys.mask.secret(), &shared.self_secret};
}
Secrets secrets_of(const SecAggMasked& masked) { return secrets_of(masked.shared); }
Secrets secrets_of(const SecAggAnswered& answered) { return secrets_of(answered.masked); }
Secrets secrets_of(const SecAggStopped&) { return {}; }

Error damaged(std::string_view what) {
  return {ErrorCode::kCorrupt, cat("the state of secure aggregation on disk is damaged: ", what,
                                   "; this device sits the round out")};
}

Secret<32> secret_at(ByteSpan secrets, std::size_t index) {
  return Secret<32>::copy_of(secrets.subspan(index * kSecretBytes).first<kSecretBytes>());
}

std::size_t secrets_in(PhaseNumber phase) {
  if (phase == PhaseNumber::kStopped) return 0;
  return phase < PhaseNumber::kShared ? 2 : 3;
}

SecAggAdvertised to_advertised(const SecAggPrimitives& primitives, const Record& from,
                               ByteSpan secrets) {
  return {.attempt = from.attempt,
          .box = primitives.agreement_key(secret_at(secrets, 0)),
          .mask = primitives.agreement_key(secret_at(secrets, 1)),
          .nonce = from.nonce,
          .advert = from.advert};
}

SecAggShared to_shared(SecAggAdvertised keys, const Record& from, ByteSpan secrets) {
  return {.keys = std::move(keys),
          .roster_hash = from.roster_hash,
          .members = from.members,
          .me = from.me,
          .parameters = from.parameters,
          .neighbours = from.neighbours,
          .box_keys = {},
          .self_secret = secret_at(secrets, 2),
          .boxes = from.boxes};
}

// What the rest of the machine takes for granted of its own state.
bool keys_hold(const SecAggClientContext& context, const SecAggAdvertised& keys) {
  const auto advert = decode_advert(keys.advert.bytes);
  return advert && advert->client == context.id && advert->plan_hash == context.plan_hash &&
         advert->attempt == keys.attempt && advert->box_key == keys.box.public_key() &&
         advert->mask_key == keys.mask.public_key();
}

bool neighbours_hold(const SecAggShared& shared) {
  const std::vector<SecAggNeighbour>& neighbours = shared.neighbours;
  for (std::size_t i = 0; i < neighbours.size(); ++i) {
    if (neighbours[i].member >= shared.members || neighbours[i].member == shared.me) return false;
    if (i > 0 && neighbours[i - 1].member >= neighbours[i].member) return false;
  }
  return shared.members <= limits::kRosterMembers && shared.me < shared.members &&
         graph_fits(shared.members, shared.parameters) &&
         neighbours.size() == shared.parameters.degree &&
         shared.boxes.roster_hash == shared.roster_hash &&
         std::ranges::equal(neighbours, shared.boxes.boxes, {}, &SecAggNeighbour::member,
                            &ShareBox::member);
}

Result<SecAggClientPhase> restore_shared(const SecAggClientContext& context, SecAggAdvertised keys,
                                         const Record& from, ByteSpan secrets) {
  SecAggMasked masked{to_shared(std::move(keys), from, secrets), from.inbox};
  SecAggShared& shared = masked.shared;
  if (!neighbours_hold(shared)) return damaged("its neighbours");
  auto box_keys =
      agree_on_boxes(context.primitives, shared.keys.box, shared.neighbours, shared.roster_hash);
  if (!box_keys) return damaged("its neighbours");
  shared.box_keys = std::move(*box_keys);
  if (from.phase == PhaseNumber::kShared) return SecAggClientPhase{std::move(shared)};
  if (masked.inbox.roster_hash != shared.roster_hash ||
      !check_inbox(context, shared, masked.inbox)) {
    return damaged("its share boxes");
  }
  if (from.phase == PhaseNumber::kMasked) return SecAggClientPhase{std::move(masked)};
  if (from.survivors.roster_hash != shared.roster_hash ||
      !check_survivors(context, masked, from.survivors)) {
    return damaged("its survivors' list");
  }
  return SecAggClientPhase{SecAggAnswered{std::move(masked), from.survivors}};
}

Result<SecAggClientPhase> restore_phase(const SecAggClientContext& context, const Record& from,
                                        ByteSpan secrets) {
  if (from.phase == PhaseNumber::kStopped) return SecAggClientPhase{SecAggStopped{from.reason}};
  SecAggAdvertised keys = to_advertised(context.primitives, from, secrets);
  if (!keys_hold(context, keys)) return damaged("its keys");
  if (from.phase == PhaseNumber::kAdvertised) return SecAggClientPhase{std::move(keys)};
  if (from.phase != PhaseNumber::kOpened) {
    return restore_shared(context, std::move(keys), from, secrets);
  }
  const auto place = check_roster(context, keys, from.roster);
  if (!place || place->me != from.me || place->parameters != from.parameters ||
      from.roster.plan_hash != context.plan_hash || from.roster.attempt != from.attempt) {
    return damaged("its roster");
  }
  return SecAggClientPhase{SecAggOpened{.keys = std::move(keys),
                                        .roster = from.roster,
                                        .roster_hash = from.roster.hash(),
                                        .me = from.me,
                                        .parameters = from.parameters}};
}

} // namespace

Bytes SecAggClient::serialize() const {
  Record made;
  made.phase = static_cast<PhaseNumber>(phase_.index());
  made.plan_hash = context_.plan_hash;
  made.client = context_.id;
  std::visit([&made](const auto& phase) { record(made, phase); }, phase_);
  const Secrets secrets = std::visit([](const auto& phase) { return secrets_of(phase); }, phase_);
  const Bytes open_part = encode_value(made);
  Bytes state;
  state.reserve(open_part.size() + kTailBytes); // secrets must not be left behind by growth
  state.insert(state.end(), open_part.begin(), open_part.end());
  for (const Secret<32>* secret : {secrets.box, secrets.mask, secrets.self}) {
    if (secret == nullptr) {
      state.insert(state.end(), kSecretBytes, 0);
    } else {
      state.insert(state.end(), secret->span().begin(), secret->span().end());
    }
  }
  const Sha256 checksum = sha256(state);
  state.insert(state.end(), checksum.bytes.begin(), checksum.bytes.end());
  return state;
}

Result<SecAggClient> SecAggClient::restore(SecAggClientContext context, ByteSpan state) {
  if (state.size() < kTailBytes || state.size() > limits::kSecAggStateBytes) {
    return damaged("its length");
  }
  const ByteSpan summed = state.first(state.size() - Sha256::kSize);
  if (!std::ranges::equal(sha256(summed).bytes, state.last(Sha256::kSize))) {
    return damaged("its checksum");
  }
  const ByteSpan secrets = summed.last(kSecrets * kSecretBytes);
  const Record from = COPPICE_TRY(decode_value<Record>(summed.first(summed.size() - secrets.size()),
                                                       "the state of secure aggregation on disk"));
  if (from.plan_hash != context.plan_hash || from.client != context.id) {
    return Error{ErrorCode::kFailedPrecondition,
                 "the state of secure aggregation on disk is of another round or device"};
  }
  const ByteSpan unused = secrets.subspan(secrets_in(from.phase) * kSecretBytes);
  if (std::ranges::any_of(unused, [](std::uint8_t byte) { return byte != 0; })) {
    return damaged("its secrets");
  }
  return SecAggClient(context, COPPICE_TRY(restore_phase(context, from, secrets)));
}

} // namespace coppice
