// SPDX-License-Identifier: Apache-2.0
// An aggregator that owns every device but one, and says to that one whatever a test wants.
//
// As built it is honest: a victim that is told roster(), opening(), inbox() and survivors() goes
// through all phases. Tests change a part before it is told.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/secagg_client.h"
#include "sim/model_primitives.h"

namespace coppice {

class SecAggEnemy {
 public:
  struct Puppet {
    SigningKey signing;
    ClientId id;
    AgreementKey box;
    AgreementKey mask;
    KeyAdvert keys;
    SignedAdvert advert;
    SignedCertificate certificate;
    GraphNonce nonce{};
    std::uint32_t member = 0; // number in the roster
  };

  // Of `members` in all, the victim among them.
  explicit SecAggEnemy(std::uint32_t members, std::uint32_t min_survivors = 3,
                       GraphAssumptions owner = {});

  SecAggClient& victim() { return victim_; }
  SecAggClientContext context() const;
  // Puppets by index; after a change of `keys`, sign() again. Before roster().
  Puppet& puppet(std::uint32_t index) { return puppets_[index]; }
  void sign(Puppet& puppet);

  Roster roster();                  // fixes the members' numbers
  GraphOpening opening();           // for the victim
  Puppet& of(std::uint32_t member); // whose number this is
  // The victim's neighbours' boxes, each `plaintext`'s 80 bytes of their number.
  ShareInbox inbox();
  Bytes box_from(std::uint32_t member, std::uint32_t to);
  SurvivorList survivors(); // everybody

  // Tells the victim all up to the named message, and starts it first.
  void until_roster();
  void until_opening();
  void until_inbox();
  void until_survivors(); // masks were made

  static FleetSigningKey fleet_key();
  const ModelPrimitives& primitives() const { return primitives_; }

 private:
  ModelPrimitives primitives_{1};
  SigningKey victim_signing_;
  ClientId victim_id_;
  std::uint32_t min_survivors_;
  GraphAssumptions owner_;
  std::vector<Puppet> puppets_;
  SecAggClient victim_;
  KeyAdvert victim_keys_;
};

// What happened if the victim stopped as it should: it persisted that, says why, never says
// anything again whatever it is told, and neither does what is restored from its disk. Otherwise
// what it did instead, in words.
std::string why_stopped(SecAggEnemy& enemy, const std::vector<SecAggClientAction>& actions);

} // namespace coppice
