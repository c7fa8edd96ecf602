// SPDX-License-Identifier: Apache-2.0
#include "sim/history_observer.h"

#include <algorithm>
#include <bit>

#include "aggregator/round.h"
#include "base/text.h"

namespace coppice {
namespace {

std::uint32_t count_bits(const std::vector<std::uint8_t>& bits) {
  std::uint32_t count = 0;
  for (const std::uint8_t byte : bits) count += static_cast<std::uint32_t>(std::popcount(byte));
  return count;
}

} // namespace

HistoryObserver::HistoryObserver(const HistorySettings& settings, std::vector<ClientId> devices)
    : settings_(settings),
      devices_(std::move(devices)),
      sealed_(devices_.size()),
      acknowledged_(devices_.size()),
      followed_epsilon_(devices_.size()) {}

void HistoryObserver::broken(const std::string& promise) {
  if (!broken_) broken_ = cat("at ", now_, ": ", promise);
}

std::size_t HistoryObserver::device_of(const ClientId& client) const {
  return static_cast<std::size_t>(std::ranges::find(devices_, client) - devices_.begin());
}

// ---- a device ----

void HistoryObserver::device_says(std::size_t device, const SecAggClient& machine,
                                  const SecAggMessage& message) {
  if (const auto* advert = std::get_if<SignedAdvert>(&message)) {
    advertises(device, *advert);
  } else if (const auto* nonce = std::get_if<NonceOpening>(&message)) {
    binds(device, nonce->roster_hash);
  } else if (const auto* boxes = std::get_if<ShareBoxes>(&message)) {
    binds(device, boxes->roster_hash);
    if (const auto* shared = std::get_if<SecAggShared>(&machine.phase())) shares(*shared);
  } else if (const auto* answer = std::get_if<UnmaskShares>(&message)) {
    const auto* answered = std::get_if<SecAggAnswered>(&machine.phase());
    if (answered != nullptr) answers(device, *answered, *answer);
  }
}

void HistoryObserver::advertises(std::size_t device, const SignedAdvert& advert) {
  const auto keys = decode_advert(advert.bytes);
  if (!keys) return; // a liar's
  for (const AgreementPublicKey& key : {keys->box_key, keys->mask_key}) {
    const auto [known, first] = keys_.try_emplace(key, advert);
    if (!first && known->second.bytes != advert.bytes && honest(device)) {
      broken(cat("device ", device, " advertises one key twice"));
    }
  }
  latest_key_[device] = keys->mask_key;
}

void HistoryObserver::binds(std::size_t device, const Sha256& roster_hash) {
  if (!honest(device)) return;
  const auto [known, first] = roster_of_.try_emplace(latest_key_.at(device), roster_hash);
  if (!first && known->second != roster_hash) {
    broken(cat("device ", device, "'s key serves two rosters"));
  }
}

void HistoryObserver::shares(const SecAggShared& shared) {
  if (!check_graph_security(shared.members, shared.parameters, settings_.owner)) {
    broken("secrets are shared in a graph below what the owner assumes");
  }
  for (const SecAggNeighbour& neighbour : shared.neighbours) {
    if (!keys_.contains(neighbour.box_key) || !keys_.contains(neighbour.mask_key)) {
      broken("secrets are shared under a key that no device has");
    }
  }
}

void HistoryObserver::answers(std::size_t device, const SecAggAnswered& answered,
                              const UnmaskShares& answer) {
  if (!honest(device)) return;
  const SecAggShared& shared = answered.masked.shared;
  const auto advert = decode_advert(shared.keys.advert.bytes);
  const auto [known, first] =
      answered_.try_emplace({device, advert->plan_hash}, answer.survivors_hash);
  if (!first && known->second != answer.survivors_hash) {
    broken(cat("device ", device, " answers two survivors' lists under one plan"));
  }
  const auto list = lists_.find(answer.survivors_hash);
  if (list == lists_.end()) return broken("a survivors' list is answered that nobody sent");
  const std::uint32_t survivors = count_bits(list->second.survivors);
  if (survivors < std::max(settings_.min_survivors, settings_.owner_floor)) {
    broken(cat("device ", device, " helps to unmask a sum of ", survivors,
               " devices, which is below the floor"));
  }
  if (!bit_of(list->second.survivors, shared.me)) {
    broken(cat("device ", device, " helps to unmask a sum that it is not in"));
  }
  for (const UnmaskShare& share : answer.shares) {
    Helped& helped = helped_[{answer.roster_hash, share.member}];
    (share.of == ShareOf::kSelfMask ? helped.with_self : helped.with_mask_key).insert(device);
    const std::size_t least = shared.parameters.threshold;
    if (helped.with_self.size() >= least && helped.with_mask_key.size() >= least) {
      broken(cat("both secrets of member ", share.member, " can be put together"));
    }
  }
}

void HistoryObserver::device_masks(std::size_t device, const Sha256& plan_hash,
                                   const Sha256& upload, std::vector<std::uint32_t> vector) {
  const bool first =
      sealed_[device].try_emplace(plan_hash, Sealed{upload, std::move(vector)}).second;
  if (!first) broken(cat("device ", device, " masks or seals twice under one plan"));
}

void HistoryObserver::device_acknowledged(std::size_t device, const Sha256& upload) {
  acknowledged_[device].insert(upload);
}

void HistoryObserver::device_follows(std::size_t device, const RoundPlan& plan) {
  if (!honest(device)) return;
  if (settings_.secure_aggregation && !plan.sum.secure_aggregation) {
    broken(cat("device ", device, " follows a plan without secure aggregation"));
  }
  if (plan.privacy.cumulative_epsilon < followed_epsilon_[device]) {
    broken(cat("device ", device, " follows a plan that forgets what was spent"));
  }
  followed_epsilon_[device] = plan.privacy.cumulative_epsilon;
}

const Sha256* HistoryObserver::sealed(std::size_t device, const Sha256& plan_hash) const {
  const auto known = sealed_[device].find(plan_hash);
  return known == sealed_[device].end() ? nullptr : &known->second.upload;
}

bool HistoryObserver::acknowledged(std::size_t device, const Sha256& upload) const {
  return acknowledged_[device].contains(upload);
}

// ---- the aggregator ----

void HistoryObserver::aggregator_plans(const RoundPlan& plan) {
  if (plan.privacy.cumulative_epsilon < highest_epsilon_) {
    broken("the budget that plans state went down");
  }
  if (settings_.noise && plan.privacy.cumulative_epsilon <= released_epsilon_) {
    broken("a plan's budget leaves out what is spent");
  }
  highest_epsilon_ = plan.privacy.cumulative_epsilon;
}

void HistoryObserver::aggregator_says(const SecAggMessage& message) {
  if (const auto* roster = std::get_if<Roster>(&message)) {
    const auto [known, first] = rosters_.try_emplace({roster->plan_hash, roster->attempt}, *roster);
    if (!first && known->second != *roster) {
      broken("the aggregator makes two rosters for one attempt");
    }
  } else if (const auto* list = std::get_if<SurvivorList>(&message)) {
    const auto [known, first] = survivors_.try_emplace(list->roster_hash, *list);
    if (!first && known->second != *list) {
      broken("the aggregator makes two survivors' lists");
    }
  }
}

void HistoryObserver::whoever_says(const SecAggMessage& message) {
  const auto* const list = std::get_if<SurvivorList>(&message);
  if (list == nullptr) return;
  const bool known =
      std::ranges::any_of(lists_, [&](const auto& other) { return other.second == *list; });
  if (!known) lists_.emplace(list->hash(), *list); // hashes are slow
}

void HistoryObserver::aggregator_releases(const RoundPlan& plan,
                                          const std::map<ClientId, Sha256>& counted,
                                          const std::vector<std::uint32_t>& sum) {
  released_epsilon_ = plan.privacy.cumulative_epsilon;
  if (counted.size() < plan.sum.min_survivors) broken("a sum is released below the floor");
  const Sha256 plan_hash = plan.hash();
  std::vector<std::uint32_t> expected(sum.size());
  for (const auto& [client, upload] : counted) {
    const auto& made = sealed_[device_of(client)];
    const auto sealed = made.find(plan_hash);
    if (sealed == made.end() || sealed->second.upload != upload) {
      return broken("an upload counts that its device never sealed");
    }
    add_upload(plan.slots, expected, sealed->second.vector);
  }
  // A lying aggregator may spoil its own sum: devices that it told of other share boxes mask apart.
  if (expected != sum && !settings_.lying_aggregator)
    broken("the sum is not that of the counted devices");
}

} // namespace coppice
