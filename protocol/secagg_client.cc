// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_client.h"

#include <algorithm>
#include <array>

#include "base/append.h"
#include "base/text.h"
#include "protocol/secagg_client_checks.h"

namespace coppice {
namespace {

// The keys of whichever phase; null when stopped.
const SecAggAdvertised* keys_of(const SecAggClientPhase& phase) {
  if (const auto* advertised = std::get_if<SecAggAdvertised>(&phase)) return advertised;
  if (const auto* opened = std::get_if<SecAggOpened>(&phase)) return &opened->keys;
  if (const auto* shared = std::get_if<SecAggShared>(&phase)) return &shared->keys;
  if (const auto* masked = std::get_if<SecAggMasked>(&phase)) return &masked->shared.keys;
  if (const auto* answered = std::get_if<SecAggAnswered>(&phase)) {
    return &answered->masked.shared.keys;
  }
  return nullptr;
}

SecretShare share_at(ByteSpan plaintext, std::size_t index) {
  SecretShare share;
  std::ranges::copy(plaintext.subspan(index * share.size(), share.size()), share.begin());
  return share;
}

// New shares of both secrets, sealed for each neighbour.
ShareBoxes deal(const SecAggPrimitives& primitives, const SecAggShared& shared) {
  const auto count = static_cast<std::uint32_t>(shared.neighbours.size());
  const std::uint32_t threshold = shared.parameters.threshold;
  std::vector<SecretShare> of_self = primitives.share(shared.self_secret, threshold, count);
  std::vector<SecretShare> of_mask = primitives.share(shared.keys.mask.secret(), threshold, count);
  ShareBoxes made{
      .roster_hash = shared.roster_hash,
      .self_commitment = primitives.self_commitment(shared.self_secret, shared.roster_hash),
      .boxes = {}};
  std::array<std::uint8_t, 2 * sizeof(SecretShare)> plaintext{};
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(of_self[i], plaintext.begin());
    std::ranges::copy(of_mask[i], plaintext.begin() + sizeof(SecretShare));
    const std::uint32_t to = shared.neighbours[i].member;
    made.boxes.push_back({.member = to,
                          .box = primitives.seal_box(shared.box_keys[i].sealing,
                                                     {.from = shared.me, .to = to}, plaintext)});
  }
  wipe(plaintext);
  for (SecretShare& share : of_self) wipe(share);
  for (SecretShare& share : of_mask) wipe(share);
  return made;
}

// Of each neighbour that shared, the share of the one secret that the list calls for. A member is
// either a survivor or not: a list can't ask for both.
Result<UnmaskShares> answer(const SecAggPrimitives& primitives, const SecAggAnswered& answered) {
  const SecAggShared& shared = answered.masked.shared;
  UnmaskShares made{
      .roster_hash = shared.roster_hash, .survivors_hash = answered.survivors.hash(), .shares = {}};
  std::size_t neighbour = 0;
  for (const ShareBox& box : answered.masked.inbox.boxes) {
    while (shared.neighbours[neighbour].member != box.member) ++neighbour; // check_inbox: it is one
    Bytes plaintext = COPPICE_TRY(primitives.open_box(
        shared.box_keys[neighbour].opening, {.from = box.member, .to = shared.me}, box.box));
    const ShareOf of =
        bit_of(answered.survivors.survivors, box.member) ? ShareOf::kSelfMask : ShareOf::kMaskKey;
    made.shares.push_back({.member = box.member,
                           .of = of,
                           .share = share_at(plaintext, of == ShareOf::kSelfMask ? 0 : 1)});
    wipe(plaintext);
  }
  return made;
}

} // namespace

SecAggClient::SecAggClient(SecAggClientContext context)
    : context_(context), phase_(SecAggStopped{}) {
  make_keys(0);
}

SecAggClient::SecAggClient(SecAggClientContext context, SecAggClientPhase phase)
    : context_(context), phase_(std::move(phase)) {}

void SecAggClient::make_keys(std::uint8_t attempt) {
  const SecAggPrimitives& primitives = context_.primitives;
  SecAggAdvertised made{.attempt = attempt,
                        .box = primitives.agreement_key(primitives.random_secret()),
                        .mask = primitives.agreement_key(primitives.random_secret()),
                        .nonce = primitives.random_nonce(),
                        .advert = {}};
  made.advert.bytes = encode_advert(
      {.client = context_.id,
       .plan_hash = context_.plan_hash,
       .attempt = attempt,
       .box_key = made.box.public_key(),
       .mask_key = made.mask.public_key(),
       .nonce_commitment = commit_nonce(made.nonce, context_.id, context_.plan_hash, attempt)});
  made.advert.signature = primitives.sign_advert(context_.signing, made.advert.bytes);
  phase_ = std::move(made);
}

const char* SecAggClient::phase_name() const {
  constexpr std::array kNames{"advertised", "opened", "shared", "masked", "answered", "stopped"};
  static_assert(kNames.size() == std::variant_size_v<SecAggClientPhase>);
  return kNames[phase_.index()];
}

Sha256 SecAggClient::roster_hash() const {
  if (const auto* opened = std::get_if<SecAggOpened>(&phase_)) return opened->roster_hash;
  if (const auto* shared = std::get_if<SecAggShared>(&phase_)) return shared->roster_hash;
  if (const auto* masked = std::get_if<SecAggMasked>(&phase_)) return masked->shared.roster_hash;
  if (const auto* answered = std::get_if<SecAggAnswered>(&phase_)) {
    return answered->masked.shared.roster_hash;
  }
  return {};
}

std::vector<SecAggClientAction> SecAggClient::start() { return persist_and_say(); }

std::vector<SecAggClientAction> SecAggClient::say_again() const {
  if (const auto* advertised = std::get_if<SecAggAdvertised>(&phase_)) {
    return {SendSecAgg{advertised->advert}};
  }
  if (const auto* opened = std::get_if<SecAggOpened>(&phase_)) {
    return {SendSecAgg{NonceOpening{opened->roster_hash, opened->keys.nonce}}};
  }
  if (const auto* shared = std::get_if<SecAggShared>(&phase_)) return {SendSecAgg{shared->boxes}};
  if (std::holds_alternative<SecAggMasked>(phase_)) return {MasksReady{}};
  if (const auto* answered = std::get_if<SecAggAnswered>(&phase_)) {
    // The boxes opened when they came (check_inbox) and are on disk under a checksum since.
    return {SendSecAgg{answer(context_.primitives, *answered).value()}};
  }
  return {};
}

SecAggClient::Actions SecAggClient::persist_and_say() const {
  return and_then(Actions{PersistSecAgg{serialize()}}, say_again());
}

SecAggClient::Actions SecAggClient::refuse(std::string reason) {
  phase_ = SecAggStopped{reason};
  return {PersistSecAgg{serialize()}, SecAggRefused{std::move(reason)}};
}

std::vector<SecAggClientAction> SecAggClient::handle(const SecAggMessage& message) {
  if (std::holds_alternative<SecAggStopped>(phase_)) return {};
  return std::visit(
      [this](const auto& value) -> Actions {
        if constexpr (requires { on(value); }) return on(value);
        return {}; // a device's own kinds of message, sent back
      },
      message);
}

SecAggClient::Actions SecAggClient::on(const Readvertise& again) {
  const std::uint8_t attempt = keys_of(phase_)->attempt;
  if (again.plan_hash != context_.plan_hash || again.attempt < attempt ||
      again.attempt >= kMaxAttempts) {
    return {};
  }
  if (again.attempt == attempt) {
    return std::holds_alternative<SecAggAdvertised>(phase_) ? say_again() : Actions{};
  }
  if (!std::holds_alternative<SecAggAdvertised>(phase_) &&
      !std::holds_alternative<SecAggOpened>(phase_)) {
    return refuse("new keys are asked for after shares were dealt: no second roster for a plan");
  }
  make_keys(again.attempt);
  return persist_and_say();
}

SecAggClient::Actions SecAggClient::on(const Roster& roster) {
  if (roster.plan_hash != context_.plan_hash || roster.attempt != keys_of(phase_)->attempt) {
    return {};
  }
  const Sha256 hash = roster.hash();
  auto* const advertised = std::get_if<SecAggAdvertised>(&phase_);
  if (advertised == nullptr) {
    if (hash != roster_hash()) return refuse("a second, different roster for the same keys");
    return std::holds_alternative<SecAggOpened>(phase_) ? say_again() : Actions{};
  }
  const auto place = check_roster(context_, *advertised, roster);
  if (!place) return refuse(place.error().message);
  phase_ = SecAggOpened{.keys = std::move(*advertised),
                        .roster = roster,
                        .roster_hash = hash,
                        .me = place->me,
                        .parameters = place->parameters};
  return persist_and_say();
}

SecAggClient::Actions SecAggClient::on(const GraphOpening& opening) {
  if (opening.roster_hash != roster_hash()) return {};
  auto* const opened = std::get_if<SecAggOpened>(&phase_);
  if (opened == nullptr) {
    return std::holds_alternative<SecAggShared>(phase_) ? say_again() : Actions{};
  }
  auto neighbours = check_graph(context_, *opened, opening);
  if (!neighbours) return refuse(neighbours.error().message);
  auto box_keys =
      agree_on_boxes(context_.primitives, opened->keys.box, *neighbours, opened->roster_hash);
  if (!box_keys) return refuse(cat("a neighbour's key can't be used: ", box_keys.error().message));
  SecAggShared shared{.keys = std::move(opened->keys),
                      .roster_hash = opened->roster_hash,
                      .members = static_cast<std::uint32_t>(opened->roster.entries.size()),
                      .me = opened->me,
                      .parameters = opened->parameters,
                      .neighbours = std::move(*neighbours),
                      .box_keys = std::move(*box_keys),
                      .self_secret = context_.primitives.random_secret(),
                      .boxes = {}};
  shared.boxes = deal(context_.primitives, shared);
  phase_ = std::move(shared);
  return persist_and_say();
}

SecAggClient::Actions SecAggClient::on(const ShareInbox& inbox) {
  if (inbox.roster_hash != roster_hash()) return {};
  if (const auto* masked = std::get_if<SecAggMasked>(&phase_)) {
    if (inbox != masked->inbox) return refuse("a second, different set of share boxes");
    return say_again();
  }
  auto* const shared = std::get_if<SecAggShared>(&phase_);
  if (shared == nullptr) return {};
  const auto checked = check_inbox(context_, *shared, inbox);
  if (!checked) return refuse(checked.error().message);
  phase_ = SecAggMasked{std::move(*shared), inbox};
  return persist_and_say();
}

SecAggClient::Actions SecAggClient::on(const SurvivorList& list) {
  if (list.roster_hash != roster_hash()) return {};
  if (const auto* answered = std::get_if<SecAggAnswered>(&phase_)) {
    if (list != answered->survivors) return refuse("a second, different survivors' list");
    return say_again();
  }
  auto* const masked = std::get_if<SecAggMasked>(&phase_);
  if (masked == nullptr) return {}; // nothing of mine can be in that sum
  const auto checked = check_survivors(context_, *masked, list);
  if (!checked) return refuse(checked.error().message);
  phase_ = SecAggAnswered{std::move(*masked), list};
  return persist_and_say();
}

Result<std::vector<SignedSeed>> SecAggClient::masks() const {
  const auto* const masked = std::get_if<SecAggMasked>(&phase_);
  if (masked == nullptr) {
    return Error{
        ErrorCode::kFailedPrecondition,
        cat("masks are made when the neighbours' shares are here and no survivors' list is; "
            "this device is in the phase: ",
            phase_name())};
  }
  const SecAggShared& shared = masked->shared;
  const SecAggPrimitives& primitives = context_.primitives;
  std::vector<SignedSeed> seeds;
  seeds.push_back({primitives.self_seed(shared.self_secret, shared.roster_hash), MaskSign::kAdd});
  auto neighbour = shared.neighbours.begin();
  for (const ShareBox& box : masked->inbox.boxes) {
    while (neighbour->member != box.member) ++neighbour;
    seeds.push_back({COPPICE_TRY(primitives.pairwise_seed(shared.keys.mask, neighbour->mask_key,
                                                          shared.roster_hash)),
                     shared.me < box.member ? MaskSign::kAdd : MaskSign::kSubtract});
  }
  return seeds;
}

} // namespace coppice
