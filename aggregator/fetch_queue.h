// SPDX-License-Identifier: Apache-2.0
// Fetches of releases as they are served: a bounded number of devices at once, so that what waits
// in sockets doesn't grow with the number of clients.
//
// Pure bookkeeping: whoever gets a turn is sent its chunks, and keeps the turn until it says that
// it has them (done), is gone (drop), or stays silent for `patience`. A device holds one turn at
// most; its next fetch takes the place of the last. Thread-compatible.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "base/clock.h"
#include "protocol/messages.h"

namespace coppice {

class FetchQueue {
 public:
  FetchQueue(std::size_t turns, Millis patience) : turns_(turns), patience_(patience) {}

  // How many turns there are from here on. Whoever has one keeps it.
  void allow(std::size_t turns) { turns_ = turns; }

  struct Turn { // serve this now
    ClientId client;
    Fetch fetch;
  };
  // Fetches come in order of their asking, but a device that has a turn goes on with it.
  std::vector<Turn> ask(const ClientId& client, const Fetch& fetch, Millis now);
  // Its turn goes to the next. A fetch that still waits stays: a device also checks in while it
  // waits.
  std::vector<Turn> done(const ClientId& client, Millis now);
  // It is gone: turn and place in the queue go.
  std::vector<Turn> drop(const ClientId& client, Millis now);
  std::vector<Turn> expire(Millis now);

  std::size_t active() const { return active_.size(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  std::vector<Turn> fill(Millis now);

  std::size_t turns_;
  Millis patience_;
  std::map<ClientId, Millis> active_; // since when
  std::deque<Turn> waiting_;
};

} // namespace coppice
