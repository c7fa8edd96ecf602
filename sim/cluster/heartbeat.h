// SPDX-License-Identifier: Apache-2.0
// Signs of life of all ranks, left in the store that they met at: tells a lost rank from a slow
// one.
//
// A thread of its own writes this rank's sign and reads others', so that a store that hangs never
// blocks who asks. Each rank watches the next 64; who finds a silent one writes that down, and all
// others take it from there. Thread-safe.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "sim/rendezvous.h"

namespace coppice::cluster {

class Heartbeat {
 public:
  // `store` is used by this thread alone. All ranks have called announce() when this is made.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, const Rendezvous& rendezvous, Millis silence);
  ~Heartbeat(); // ends the thread, or leaves it behind if the store holds it
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // The first sign of a rank.
  static void announce(c10d::Store& store, std::uint32_t rank);

  // This rank has begun its n-th call.
  void at_call(std::uint64_t number);
  // A sentence that names the lost rank, once one is lost.
  std::optional<std::string> loss() const;
  // The ranks among those watched that have not begun the n-th call, as far as it is known.
  std::vector<std::uint32_t> behind(std::uint64_t number) const;
  // All ranks but the lost one know of the loss: the store may go.
  bool all_told() const;
  Millis interval() const;

 private:
  struct State;
  std::shared_ptr<State> state_; // the thread's too
  std::thread thread_;
};

} // namespace coppice::cluster
