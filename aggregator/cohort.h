// SPDX-License-Identifier: Apache-2.0
// Who is here, who may be asked, and who is asked.
//
// Pure bookkeeping over check-ins, heartbeats and leases; sampling takes its randomness as an
// argument. Three settings, three questions: enough connected to begin (min_available), how many
// are asked (sample_size), how many reports are needed (goal). Thread-compatible.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "protocol/transport.h"

namespace coppice {

struct CohortSettings {
  std::uint32_t min_available = 2; // ready devices before a round starts
  std::uint32_t min_train = 2;     // asked at least
  double fraction_train = 1.0;     // share of the ready devices that is asked
  std::uint32_t max_cohort = 10'000;
  // Each device by itself, with probability fraction_train. That is every enrolled device's rate:
  // one that is drawn and not ready is not asked, nobody takes its place, and no bound is applied.
  bool poisson = false;
  Millis lease{30'000}; // silence after which a device counts as gone
};

// How many devices have to be ready before a round starts.
std::uint32_t ready_needed(const CohortSettings& settings);
// Without Poisson sampling: how many of the ready devices that needn't rest are asked.
std::uint32_t cohort_size(const CohortSettings& settings, std::size_t ready);

struct Presence {
  std::optional<PeerAddress> control; // where plans and notices go
  bool ready = false;
  std::vector<std::string> features;
  Millis last_heard; // monotonic
  AdapterVersion version;
  KeySetNumber key_set; // newest that the device knows
};

class Cohort {
 public:
  explicit Cohort(CohortSettings settings) : settings_(settings) {}

  void checked_in(const ClientId& client, Presence presence);
  void heard(const ClientId& client, Millis now);
  void left(const ClientId& client);
  // Devices silent for longer than the lease; they are dropped.
  std::vector<ClientId> expire(Millis now);

  const Presence* find(const ClientId& client) const;
  std::size_t connected() const { return present_.size(); }
  std::size_t ready() const;
  const std::map<ClientId, Presence>& present() const { return present_; }

  // Why no round can start now, with counts; empty if one can.
  std::string waiting_for() const;
  // Draws without replacement, or each by itself, from those who are ready and not among `resting`
  // or `under_way` (sorted). The latter train for earlier rounds: they are as good as asked, and
  // with them no more are drawn than without. `below(n)` is uniform in [0, n): SecretRandom in a
  // program.
  std::vector<ClientId> sample(const std::function<std::uint64_t(std::uint64_t)>& below,
                               std::span<const ClientId> resting = {},
                               std::span<const ClientId> under_way = {}) const;

 private:
  CohortSettings settings_;
  std::map<ClientId, Presence> present_;
};

} // namespace coppice
