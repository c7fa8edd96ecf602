// SPDX-License-Identifier: Apache-2.0
#include "sim/history_liars.h"

#include <algorithm>

#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kMostReplays = 64;

void clear_bit(std::vector<std::uint8_t>& bits, std::uint32_t member) {
  bits.at(member / 8) &= static_cast<std::uint8_t>(~(1U << (member % 8)));
}

template <typename Item>
Item& any_of(std::vector<Item>& items, KeyedRandom& random) {
  return items[static_cast<std::size_t>(random.below(items.size()))];
}

void flip_a_bit(std::span<std::uint8_t> bytes, KeyedRandom& random) {
  bytes[static_cast<std::size_t>(random.below(bytes.size()))] ^=
      static_cast<std::uint8_t>(1U << random.below(8));
}

} // namespace

// ---- the aggregator ----

LyingAggregator::LyingAggregator(std::uint64_t seed, const SecAggPrimitives& primitives)
    : random_({.experiment = seed, .purpose = RandomPurpose::kSimulation, .step = 2}),
      primitives_(primitives),
      trick_(static_cast<Trick>(random_.below(kTricks))) {}

std::vector<SecAggMessage> LyingAggregator::tells(std::size_t device,
                                                  const SecAggMessage& message) {
  std::vector<SecAggMessage> told = tell(device, message);
  if (const auto* list = std::get_if<SurvivorList>(&message)) list_ = *list;
  if (said_.size() < kMostReplays) said_.push_back(message);
  return told;
}

std::vector<SecAggMessage> LyingAggregator::tell(std::size_t device, const SecAggMessage& message) {
  if (const auto* roster = std::get_if<Roster>(&message)) {
    plan_hash_ = roster->plan_hash;
    for (std::uint32_t i = 0; i < roster->entries.size(); ++i) {
      numbers_[roster->entries[i].client] = i;
    }
    return tell_roster(device, *roster);
  }
  if (const auto* opening = std::get_if<GraphOpening>(&message)) {
    return tell_opening(device, *opening);
  }
  if (!chance(400)) return {message};
  if (const auto* inbox = std::get_if<ShareInbox>(&message)) return tell_inbox(*inbox);
  if (const auto* list = std::get_if<SurvivorList>(&message)) return tell_list(device, *list);
  return {message};
}

std::vector<SecAggMessage> LyingAggregator::tells_again(std::size_t device) {
  const bool in_roster = numbers_.contains(history_identity(device).id);
  if (!list_ || !in_roster || !chance(500)) return {};
  return tell_list(device, *list_);
}

std::vector<SecAggMessage> LyingAggregator::more(const SecAggMessage& message) {
  if (trick_ == Trick::kReplay && !said_.empty()) {
    ++lies_;
    return {message, any_of(said_, random_), any_of(said_, random_)};
  }
  if (trick_ == Trick::kNewKeysLate) {
    ++lies_;
    return {message, Readvertise{plan_hash_, static_cast<std::uint8_t>(1 + random_.below(2))}};
  }
  return {message};
}

// In either order, or the second alone.
std::vector<SecAggMessage> LyingAggregator::both(const SecAggMessage& one,
                                                 const SecAggMessage& other) {
  ++lies_;
  switch (random_.below(3)) {
    case 0: return {one, other};
    case 1: return {other, one};
    default: return {other};
  }
}

std::vector<SecAggMessage> LyingAggregator::tell_list(std::size_t device,
                                                      const SurvivorList& list) {
  const std::uint32_t me = numbers_.at(history_identity(device).id);
  const auto members = static_cast<std::uint32_t>(numbers_.size());
  std::vector<std::uint32_t> others;
  for (std::uint32_t i = 0; i < members; ++i) {
    if (i != me && bit_of(list.survivors, i)) others.push_back(i);
  }
  random_.shuffle(std::span(others));
  SurvivorList changed = list;
  switch (trick_) {
    case Trick::kSecondList:
      if (others.empty()) return {list};
      clear_bit(changed.survivors, others.front());
      return both(list, changed);
    case Trick::kListBelowFloor: {
      if (others.empty()) return {list};
      const std::size_t cut = 1 + static_cast<std::size_t>(random_.below(others.size()));
      for (std::size_t i = 0; i < cut; ++i) clear_bit(changed.survivors, others[i]);
      return both(list, changed);
    }
    case Trick::kListWithoutMe: clear_bit(changed.survivors, me); return both(list, changed);
    case Trick::kListAgainstBoxes:
      if (others.empty() || chance(300)) {
        changed.shared.back() |= 0x80U; // beyond the roster
      } else {
        clear_bit(changed.survivors, others.front());
        clear_bit(changed.shared, others.front());
      }
      return both(list, changed);
    default: return more(list);
  }
}

std::vector<SecAggMessage> LyingAggregator::tell_roster(std::size_t device, const Roster& roster) {
  const ClientId me = history_identity(device).id;
  Roster changed = roster;
  if (trick_ == Trick::kForgedKeys) return {forge(device, std::move(changed))};
  if (!chance(400)) return {roster};
  if (trick_ == Trick::kAnotherRoster) {
    const auto other = std::ranges::find_if(
        changed.entries, [&](const RosterEntry& entry) { return entry.client != me; });
    if (other == changed.entries.end()) return {roster};
    changed.entries.erase(other);
    return both(roster, changed);
  }
  if (trick_ == Trick::kRosterWithMyKeysChanged) {
    const auto mine = std::ranges::find(changed.entries, me, &RosterEntry::client);
    flip_a_bit(
        chance(500) ? std::span(mine->advert_hash.bytes) : std::span(mine->nonce_commitment.bytes),
        random_);
    return both(roster, changed);
  }
  return more(roster);
}

// One device is shown keys of the aggregator's own in another's place, from the roster on.
Roster LyingAggregator::forge(std::size_t device, Roster roster) {
  const Sha256 real = roster.hash();
  auto known = forgeries_.find(device);
  if (known == forgeries_.end() && (!forgeries_.empty() || !chance(300))) return roster;
  if (known == forgeries_.end() || known->second.real_roster != real) {
    std::vector<RosterEntry> others;
    for (const RosterEntry& entry : roster.entries) {
      if (entry.client != history_identity(device).id) others.push_back(entry);
    }
    const RosterEntry& victim = any_of(others, random_);
    Forgery made{.victim = victim.client, .advert = {}, .real_roster = real, .forged_roster = {}};
    made.advert.bytes =
        encode_advert({.client = victim.client,
                       .plan_hash = roster.plan_hash,
                       .attempt = roster.attempt,
                       .box_key = primitives_.public_key(primitives_.random_secret()),
                       .mask_key = primitives_.public_key(primitives_.random_secret()),
                       .nonce_commitment = victim.nonce_commitment});
    known = forgeries_.insert_or_assign(device, std::move(made)).first;
  }
  Forgery& forgery = known->second;
  const auto entry = std::ranges::find(roster.entries, forgery.victim, &RosterEntry::client);
  entry->advert_hash = sha256(forgery.advert.bytes);
  forgery.forged_roster = roster.hash();
  ++lies_;
  return roster;
}

std::vector<SecAggMessage> LyingAggregator::tell_opening(std::size_t device,
                                                         const GraphOpening& opening) {
  GraphOpening changed = opening;
  const auto forgery = forgeries_.find(device);
  if (forgery != forgeries_.end() && forgery->second.real_roster == opening.roster_hash) {
    changed.roster_hash = forgery->second.forged_roster;
    for (NeighbourKeys& neighbour : changed.neighbours) {
      const bool forged = neighbour.member == numbers_.at(forgery->second.victim);
      if (forged) neighbour.advert = forgery->second.advert;
    }
    ++lies_;
    return {changed};
  }
  if (!chance(400)) return {opening};
  if (trick_ != Trick::kOpeningChanged) return more(opening);
  NeighbourKeys& neighbour = any_of(changed.neighbours, random_);
  switch (random_.below(5)) {
    case 0: flip_a_bit(any_of(changed.nonces, random_), random_); break;
    case 1: flip_a_bit(neighbour.advert.bytes, random_); break;
    case 2: flip_a_bit(neighbour.certificate.bytes, random_); break;
    case 3: flip_a_bit(neighbour.advert.signature.bytes, random_); break;
    default: changed.neighbours.pop_back(); break;
  }
  return both(opening, changed);
}

std::vector<SecAggMessage> LyingAggregator::tell_inbox(const ShareInbox& inbox) {
  if (trick_ != Trick::kInboxChanged || inbox.boxes.empty()) return more(inbox);
  ShareInbox changed = inbox;
  switch (random_.below(3)) {
    case 0: flip_a_bit(any_of(changed.boxes, random_).box, random_); break;
    case 1: changed.boxes.pop_back(); break;
    default: std::swap(changed.boxes.front().box, changed.boxes.back().box); break;
  }
  return both(inbox, changed);
}

SecAggMessage LyingAggregator::hears(std::size_t device, SecAggMessage message) const {
  const auto forgery = forgeries_.find(device);
  if (forgery == forgeries_.end()) return message;
  std::visit(
      [&](auto& said) {
        if constexpr (requires { said.roster_hash; }) {
          if (said.roster_hash == forgery->second.forged_roster) {
            said.roster_hash = forgery->second.real_roster;
          }
        }
      },
      message);
  return message;
}

std::optional<RoundPlan> LyingAggregator::plans(const RoundPlan& plan) {
  const bool downgrade = trick_ == Trick::kDowngrade;
  if ((!downgrade && trick_ != Trick::kAnotherPlan) || !chance(300)) return std::nullopt;
  ++lies_;
  RoundPlan other = plan;
  other.recipe.seed += 1;
  if (!downgrade) return other;
  switch (random_.below(3)) {
    case 0: other.sum.secure_aggregation = false; break;
    case 1: other.sum.min_survivors = 1; break;
    default: other.privacy.cumulative_epsilon = 0; break;
  }
  return other;
}

// ---- a device ----

LyingDevice::LyingDevice(std::uint64_t seed)
    : random_({.experiment = seed, .purpose = RandomPurpose::kSimulation, .step = 3}),
      trick_(static_cast<Trick>(random_.below(kTricks))) {}

std::vector<SecAggMessage> LyingDevice::says(const SecAggMessage& message) {
  if (!chance(700)) return {message};
  const std::uint64_t before = lies_++;
  if (trick_ == Trick::kAggregatorsMessage) return {message, Readvertise{}};
  if (const auto* advert = std::get_if<SignedAdvert>(&message)) return say_advert(*advert);
  if (const auto* nonce = std::get_if<NonceOpening>(&message)) {
    NonceOpening changed = *nonce;
    if (trick_ == Trick::kWrongNonce) {
      flip_a_bit(changed.nonce, random_);
      return {changed};
    }
  } else if (const auto* boxes = std::get_if<ShareBoxes>(&message)) {
    return say_boxes(*boxes);
  } else if (const auto* shares = std::get_if<UnmaskShares>(&message)) {
    return say_shares(*shares);
  }
  lies_ = before;
  return {message};
}

std::vector<SecAggMessage> LyingDevice::say_advert(const SignedAdvert& advert) {
  SignedAdvert changed = advert;
  if (trick_ == Trick::kAlteredAdvert) {
    flip_a_bit(chance(500) ? std::span(changed.bytes) : std::span(changed.signature.bytes),
               random_);
    return {changed};
  }
  if (trick_ == Trick::kAnotherAdvert) {
    flip_a_bit(changed.signature.bytes, random_);
    return {advert, changed};
  }
  --lies_;
  return {advert};
}

std::vector<SecAggMessage> LyingDevice::say_boxes(const ShareBoxes& boxes) {
  ShareBoxes changed = boxes;
  switch (trick_) {
    case Trick::kAlteredBoxes: flip_a_bit(any_of(changed.boxes, random_).box, random_); break;
    case Trick::kFewerBoxes: changed.boxes.pop_back(); break;
    case Trick::kBoxesTwice: flip_a_bit(changed.self_commitment.bytes, random_); break;
    default: --lies_; return {boxes};
  }
  if (trick_ == Trick::kBoxesTwice && chance(500)) return {boxes, changed};
  return {changed}; // a commitment to another secret, in the last case
}

std::vector<SecAggMessage> LyingDevice::say_shares(const UnmaskShares& shares) {
  UnmaskShares changed = shares;
  switch (trick_) {
    case Trick::kWrongShares:
      for (UnmaskShare& share : changed.shares) {
        if (chance(500)) flip_a_bit(std::span(share.share).first(7), random_);
      }
      return {changed};
    case Trick::kFewerShares: changed.shares.pop_back(); return {changed};
    case Trick::kTwoAnswers:
      flip_a_bit(std::span(changed.shares.front().share).first(7), random_);
      return {shares, changed};
    default: --lies_; return {shares};
  }
}

bool LyingDevice::another_shape() {
  const bool lies = trick_ == Trick::kUploadOfAnotherShape && chance(500);
  lies_ += lies ? 1 : 0;
  return lies;
}

std::vector<SecretShare> LyingModel::share(const Secret<32>& secret, std::uint32_t threshold,
                                           std::uint32_t count) const {
  std::vector<SecretShare> shares = ModelPrimitives::share(secret, threshold, count);
  for (SecretShare& share : shares) {
    if (random_.below(3) == 0) flip_a_bit(std::span(share).first(7), random_);
  }
  return shares;
}

Sha256 LyingModel::self_commitment(const Secret<32>& secret, const Sha256& roster_hash) const {
  Sha256 made = ModelPrimitives::self_commitment(secret, roster_hash);
  if (random_.below(4) == 0) flip_a_bit(made.bytes, random_);
  return made;
}

} // namespace coppice
