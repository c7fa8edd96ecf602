// SPDX-License-Identifier: Apache-2.0
// Sees everything that happens in a history, and judges it by the promises alone: it knows nothing
// of how the machines keep them.
//
// What liars say is not judged, only what honest devices and the honest part of the aggregator do.
// The first broken promise is kept. Thread-compatible.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/round_plan.h"
#include "protocol/secagg_client.h"
#include "sim/protocol_history.h"

namespace coppice {

class HistoryObserver {
 public:
  HistoryObserver(const HistorySettings& settings, std::vector<ClientId> devices);

  void broken(const std::string& promise);
  const std::optional<std::string>& verdict() const { return broken_; }
  void at(Millis now) { now_ = now; }
  bool honest(std::size_t device) const { return device >= settings_.lying_devices; }

  // ---- a device ----
  // Just before it leaves; `machine` has said it.
  void device_says(std::size_t device, const SecAggClient& machine, const SecAggMessage& message);
  // Its vector is masked (or sealed as it is) and becomes this upload, now or never.
  void device_masks(std::size_t device, const Sha256& plan_hash, const Sha256& upload,
                    std::vector<std::uint32_t> vector);
  void device_acknowledged(std::size_t device, const Sha256& upload);
  void device_follows(std::size_t device, const RoundPlan& plan);
  // Upload that the device sealed under this plan; null: none.
  const Sha256* sealed(std::size_t device, const Sha256& plan_hash) const;
  bool acknowledged(std::size_t device, const Sha256& upload) const;

  // ---- the aggregator ----
  void aggregator_plans(const RoundPlan& plan);
  void aggregator_says(const SecAggMessage& message); // before anybody lies about it
  void whoever_says(const SecAggMessage& message);    // as it leaves
  void aggregator_releases(const RoundPlan& plan, const std::map<ClientId, Sha256>& counted,
                           const std::vector<std::uint32_t>& sum);

 private:
  struct Sealed {
    Sha256 upload;
    std::vector<std::uint32_t> vector;
  };
  struct Helped { // to put a secret together
    std::set<std::size_t> with_self;
    std::set<std::size_t> with_mask_key;
  };
  void advertises(std::size_t device, const SignedAdvert& advert);
  void binds(std::size_t device, const Sha256& roster_hash);
  void shares(const SecAggShared& shared);
  void answers(std::size_t device, const SecAggAnswered& answered, const UnmaskShares& answer);
  std::size_t device_of(const ClientId& client) const;

  const HistorySettings& settings_;
  std::vector<ClientId> devices_;
  std::optional<std::string> broken_;
  Millis now_;

  std::vector<std::map<Sha256, Sealed>> sealed_; // by device; by plan
  std::vector<std::set<Sha256>> acknowledged_;   // by device: uploads
  std::map<AgreementPublicKey, SignedAdvert> keys_;
  std::map<std::size_t, AgreementPublicKey> latest_key_;      // by device
  std::map<AgreementPublicKey, Sha256> roster_of_;            // by key
  std::map<Sha256, SurvivorList> lists_;                      // by hash: whoever made them
  std::map<std::pair<std::size_t, Sha256>, Sha256> answered_; // by device and plan: the list
  std::map<std::pair<Sha256, std::uint32_t>, Helped> helped_; // by roster and owner
  std::map<std::pair<Sha256, int>, Roster> rosters_; // the aggregator's: by plan and attempt
  std::map<Sha256, SurvivorList> survivors_;         // the aggregator's: by roster
  double highest_epsilon_ = 0;
  double released_epsilon_ = 0;
  std::vector<double> followed_epsilon_; // by device
};

} // namespace coppice
