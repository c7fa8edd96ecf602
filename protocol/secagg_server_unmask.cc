// SPDX-License-Identifier: Apache-2.0
// Secrets from shares, and seeds from secrets.
//
// Note [Wrong shares]
// A secret is put together from threshold shares and then checked against what its owner published.
// Where that fails, other shares are tried: the first that come, then random ones among those that
// are here, so that a few liars are soon left out. The first secret that comes out right shows
// whose shares don't fit it: those are tried last from then on. Blame stays uncertain (an owner may
// deal a wrong share to an honest neighbour), so nobody is put out for it. Of m shares with e wrong
// ones a random choice of t is right with about (1 - t / m)^e: at 86 of 115, for three liars in one
// of 60 tries.
#include <algorithm>
#include <functional>
#include <random>
#include <thread>

#include "base/text.h"
#include "protocol/secagg_server.h"
#include "protocol/secagg_server_parts.h"

namespace coppice {
namespace {

struct HeldShare {
  std::uint32_t holder = 0;
  NumberedShare share;
};

constexpr int kTries = 128; // of one secret, each time: some 20 ms at a threshold of 86

// work(i) for each i below `count`, in any order, on no more than `threads` threads.
void share_out(std::size_t count, unsigned threads, const std::function<void(std::size_t)>& work) {
  constexpr std::size_t kWorthAThread = 16; // some milliseconds
  const std::size_t parts =
      std::clamp<std::size_t>(count / kWorthAThread, 1, std::max(1U, threads));
  const auto work_part = [&](std::size_t part) {
    for (std::size_t i = part; i < count; i += parts) work(i);
  };
  std::vector<std::jthread> others;
  for (std::size_t part = 1; part < parts; ++part) others.emplace_back(work_part, part);
  work_part(0);
}

class Recovery {
 public:
  Recovery(const SecAggServerContext& context, SecAggUnmasking& unmasking)
      : primitives_(context.primitives),
        threads_(context.threads),
        phase_(unmasking),
        threshold_(unmasking.sharing.parameters.threshold) {}

  // Everything that is possible with the answers so far, which are all if it is the `last_chance`.
  void go_on(bool last_chance) {
    SecAggRecovery& recovery = phase_.recovery;
    std::vector<std::uint32_t> owners;
    for (const auto& [owner, held] : recovery.held) {
      if (held < threshold_ || recovery.secrets.contains(owner)) continue;
      const auto failed = recovery.failed.find(owner);
      // Again only when twice as many more than the threshold are here.
      const bool again = failed == recovery.failed.end() || held >= 2 * failed->second - threshold_;
      if ((again || last_chance) && (failed == recovery.failed.end() || held > failed->second)) {
        owners.push_back(owner);
      }
    }
    if (recover_from_first(owners)) return;
    while (!owners.empty()) {
      const std::size_t suspects = recovery.suspects.size();
      for (const std::uint32_t owner : owners) {
        if (recover(owner)) {
          recovery.failed.erase(owner);
        } else {
          recovery.failed[owner] = recovery.held.at(owner);
        }
      }
      owners.clear();
      if (recovery.suspects.size() == suspects) break;
      // Who was found out by one secret is left out of the others.
      for (const auto& [owner, tried] : recovery.failed) owners.push_back(owner);
    }
  }

 private:
  bool fits(std::uint32_t owner, const Secret<32>& secret) const {
    const SecAggSharing& sharing = phase_.sharing;
    if (bit_of(phase_.survivors.survivors, owner)) {
      return primitives_.self_commitment(secret, sharing.roster_hash) ==
             sharing.boxes.at(owner).self_commitment;
    }
    return primitives_.public_key(secret) == sharing.members[owner].keys.mask_key;
  }

  // The shares that are here, those of suspects last.
  std::vector<HeldShare> shares_of(std::uint32_t owner) const {
    std::vector<HeldShare> held;
    const std::vector<std::uint32_t> holders = phase_.sharing.graph.neighbours(owner);
    for (std::uint32_t i = 0; i < holders.size(); ++i) {
      const auto answer = phase_.answers.find(holders[i]);
      if (answer == phase_.answers.end()) continue;
      const auto share =
          std::ranges::lower_bound(answer->second.shares, owner, {}, &UnmaskShare::member);
      held.push_back({holders[i], {.number = i + 1, .share = share->share}});
    }
    std::stable_partition(held.begin(), held.end(), [this](const HeldShare& share) {
      return !phase_.recovery.suspects.contains(share.holder);
    });
    return held;
  }

  // Of the first of `held`, if it is right.
  std::optional<Secret<32>> from_run(std::uint32_t owner, std::span<const HeldShare> held) const {
    std::vector<NumberedShare> run;
    run.reserve(threshold_);
    for (const HeldShare& one : held.first(threshold_)) run.push_back(one.share);
    auto secret = primitives_.reconstruct(run, threshold_);
    if (!secret || !fits(owner, *secret)) return std::nullopt;
    return std::move(*secret);
  }

  // Hardly ever does anybody lie: then all secrets come of the first shares, and no order matters.
  // Otherwise nothing is kept of it: one by one, each secret shows whom the next can do without.
  bool recover_from_first(const std::vector<std::uint32_t>& owners) {
    std::vector<std::optional<Secret<32>>> secrets(owners.size());
    share_out(owners.size(), threads_,
              [&](std::size_t i) { secrets[i] = from_run(owners[i], shares_of(owners[i])); });
    if (!std::ranges::all_of(secrets, [](const auto& secret) { return secret.has_value(); })) {
      return false;
    }
    for (std::size_t i = 0; i < owners.size(); ++i) {
      phase_.recovery.secrets.emplace(owners[i], std::move(*secrets[i]));
      phase_.recovery.failed.erase(owners[i]);
    }
    return true;
  }

  bool recover(std::uint32_t owner) {
    std::vector<HeldShare> held = shares_of(owner);
    const auto suspects = std::ranges::count_if(held, [this](const HeldShare& one) {
      return phase_.recovery.suspects.contains(one.holder);
    });
    const std::size_t trusted = held.size() - static_cast<std::size_t>(suspects);
    const std::size_t choice = trusted >= threshold_ ? trusted : held.size();
    const auto end_of_choice = held.begin() + static_cast<std::ptrdiff_t>(choice);
    const int tries = choice == threshold_ ? 1 : kTries;
    std::minstd_rand order; // nothing secret, and nothing that must repeat
    for (int done = 0; done < tries; ++done) {
      if (done > 0) std::shuffle(held.begin(), end_of_choice, order);
      auto secret = from_run(owner, held);
      if (!secret) continue;
      if (done > 0) suspect_others(held, *secret);
      phase_.recovery.secrets.emplace(owner, std::move(*secret));
      return true;
    }
    return false;
  }

  // Shares that don't give `secret` together with the first of `held`, which do.
  void suspect_others(std::span<const HeldShare> held, const Secret<32>& secret) {
    std::vector<NumberedShare> run;
    for (const HeldShare& one : held.first(threshold_)) run.push_back(one.share);
    for (const HeldShare& one : held.subspan(threshold_)) {
      run.front() = one.share; // in its place: the rest of `run` is right
      const auto other = primitives_.reconstruct(run, threshold_);
      if (!other || !(*other == secret)) phase_.recovery.suspects.insert(one.holder);
    }
  }

  const SecAggPrimitives& primitives_;
  unsigned threads_;
  SecAggUnmasking& phase_;
  std::uint32_t threshold_;
};

// What undoes the masks in the survivors' sum that come of one device's secret: a survivor's own,
// or the pairwise masks that neighbours in the sum have with one that is not in it.
Result<std::vector<SignedSeed>> seeds_of(const SecAggPrimitives& primitives,
                                         const SecAggUnmasking& unmasking, std::uint32_t owner,
                                         const Secret<32>& secret) {
  const SecAggSharing& sharing = unmasking.sharing;
  const auto alive = [&](std::uint32_t member) {
    return bit_of(unmasking.survivors.survivors, member);
  };
  std::vector<SignedSeed> seeds;
  if (alive(owner)) {
    seeds.push_back({primitives.self_seed(secret, sharing.roster_hash), MaskSign::kSubtract});
    return seeds;
  }
  // Recovery::fits: this secret has that public half.
  const auto mine = AgreementKey::from_pair(Secret<32>::copy_of(secret.span()),
                                            sharing.members[owner].keys.mask_key);
  for (const std::uint32_t other : sharing.graph.neighbours(owner)) {
    if (!alive(other)) continue;
    // Of two members the lower added their mask, and the higher subtracted it.
    seeds.push_back({COPPICE_TRY(primitives.pairwise_seed(
                         mine, sharing.members[other].keys.mask_key, sharing.roster_hash)),
                     other < owner ? MaskSign::kSubtract : MaskSign::kAdd});
  }
  return seeds;
}

// Of all secrets, in the order of their owners.
Result<std::vector<SignedSeed>> make_seeds(const SecAggServerContext& context,
                                           const SecAggUnmasking& unmasking) {
  std::vector<std::pair<std::uint32_t, const Secret<32>*>> secrets;
  for (const auto& [owner, secret] : unmasking.recovery.secrets) {
    secrets.emplace_back(owner, &secret);
  }
  std::vector<std::optional<Result<std::vector<SignedSeed>>>> made(secrets.size());
  share_out(secrets.size(), context.threads, [&](std::size_t i) {
    made[i] = seeds_of(context.primitives, unmasking, secrets[i].first, *secrets[i].second);
  });
  std::vector<SignedSeed> seeds;
  for (auto& each : made) {
    std::vector<SignedSeed> some = COPPICE_TRY(std::move(*each));
    std::ranges::move(some, std::back_inserter(seeds));
  }
  return seeds;
}

} // namespace

SecAggServer::Actions SecAggServer::go_on_unmasking() {
  auto& unmasking = std::get<SecAggUnmasking>(phase_);
  const bool last_chance = awaited().empty();
  const auto in_reach = std::ranges::count_if(unmasking.recovery.held, [&](const auto& held) {
    return held.second >= unmasking.sharing.parameters.threshold;
  });
  // Not one secret is put together before all can be.
  if (in_reach < std::ptrdiff_t{unmasking.wanted}) {
    if (!last_chance) return {};
    return abandon(cat("of ", unmasking.wanted, " secrets of the sum ", in_reach,
                       " have enough shares, and nobody is left to give more"));
  }
  Recovery(context_, unmasking).go_on(last_chance);
  const std::size_t recovered = unmasking.recovery.secrets.size();
  if (recovered == unmasking.wanted) {
    auto seeds = make_seeds(context_, unmasking);
    if (!seeds) return abandon(seeds.error().message);
    phase_ = SecAggFinished{};
    return actions_of(Unmask{std::move(*seeds)});
  }
  if (!last_chance) return {};
  return abandon(cat("the shares of ", unmasking.wanted - recovered, " of ", unmasking.wanted,
                     " secrets of the sum contradict what their owners published"));
}

} // namespace coppice
