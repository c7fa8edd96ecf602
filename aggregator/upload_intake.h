// SPDX-License-Identifier: Apache-2.0
// Uploads as they come in: chunks in order, with credit, at most one upload a device, a bounded
// number at once, so memory doesn't grow with the number of clients.
//
// Pure bookkeeping: the service verifies each chunk's envelope before it comes here. Each error
// closes that upload only. Thread-compatible.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "protocol/messages.h"

namespace coppice {

class UploadIntake {
 public:
  // At most `slots` uploads under way; others wait in order of their offers.
  UploadIntake(std::size_t slots, Millis patience) : slots_(slots), patience_(patience) {}

  struct Grant { // credit to send to a device
    ClientId client;
    UploadCredit credit;
  };
  // An offer for a round that runs; `size` was checked against the plan. A repeated offer of the
  // same upload goes on where its chunks ended (0 after a restart).
  std::vector<Grant> offer(const ClientId& client, const UploadOffer& offer, Millis now);

  struct Progress {
    std::vector<Grant> grants;
    std::optional<Bytes> finished; // all bytes; their hash equals the offer's
    Sha256 plan_hash{};            // of that offer
  };
  // kUnavailable: no such upload, or chunks before it are missing; what is here stays, and the
  // credit that answers the next offer says where to go on. kCorrupt: wrong length, or another hash
  // at the end.
  Result<Progress> chunk(const ClientId& client, const UploadChunk& chunk, Millis now);

  // Drops a device's upload (it left, or its upload was refused); its slot goes to the next.
  std::vector<Grant> drop(const ClientId& client, Millis now);
  // Drops uploads without a chunk for `patience`; they may be offered again.
  std::vector<Grant> expire(Millis now);
  // A round ended: drops uploads of plans that `goes_on` denies.
  std::vector<Grant> keep(const std::function<bool(const Sha256& plan_hash)>& goes_on, Millis now);
  void clear();

  std::size_t active() const { return active_.size(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Active {
    UploadOffer offer;
    Bytes bytes;
    std::uint32_t next = 0;
    Millis last;
  };
  Grant grant_for(const ClientId& client, const Active& active) const;
  std::vector<Grant> fill(Millis now);

  std::size_t slots_;
  Millis patience_;
  std::map<ClientId, Active> active_;
  std::deque<std::pair<ClientId, UploadOffer>> waiting_;
};

} // namespace coppice
