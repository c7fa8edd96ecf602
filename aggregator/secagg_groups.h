// SPDX-License-Identifier: Apache-2.0
// Secure aggregation of a round that makes its sum in groups: a machine for each, among the devices
// of that group alone (protocol/secagg_server.h). One group is the usual case.
//
// Each machine goes its own way: one that is lost costs the round its group, and no other. Devices
// see no difference: a roster is a group's. Thread-compatible.
#pragma once

#include <map>
#include <vector>

#include "protocol/secagg_server.h"

namespace coppice {

// Which group a device is in; empty: there is one.
using GroupOf = std::map<ClientId, std::uint32_t>;
std::uint32_t group_in(const GroupOf& groups, const ClientId& client);

class SecAggGroups {
 public:
  SecAggGroups(const SecAggServerContext& context, std::uint32_t groups, const GroupOf& group_of);
  // From serialize(); errors of SecAggServer::restore(), and kCorrupt for another number of groups.
  static Result<SecAggGroups> restore(const SecAggServerContext& context, std::uint32_t groups,
                                      const GroupOf& group_of, ByteSpan state);
  // What each machine committed last: a finished one finishes again from there. One group's are
  // its machine's own bytes.
  Bytes serialize() const;
  void committed(std::uint32_t group, Bytes state) { committed_[group] = std::move(state); }

  std::uint32_t size() const { return static_cast<std::uint32_t>(machines_.size()); }
  std::uint32_t group_of(const ClientId& client) const { return group_in(group_of_, client); }
  SecAggServer& machine(std::uint32_t group) { return machines_[group]; }
  const SecAggServer& machine(std::uint32_t group) const { return machines_[group]; }
  const SecAggServer& machine_of(const ClientId& client) const {
    return machines_[group_of(client)];
  }
  bool lost(std::uint32_t group) const {
    return std::holds_alternative<SecAggLost>(machines_[group].phase());
  }
  // Some group is before Collecting, and not lost.
  bool agreeing() const;
  // Of the groups that aren't lost the one that is least far; a lost one if all are.
  const SecAggServer& slowest() const;
  std::vector<ClientId> awaited() const; // of all machines

 private:
  SecAggGroups(std::vector<SecAggServer> machines, const GroupOf& group_of)
      : machines_(std::move(machines)), committed_(machines_.size()), group_of_(group_of) {}

  std::vector<SecAggServer> machines_;
  std::vector<Bytes> committed_; // of each, its last; empty: nothing yet
  GroupOf group_of_;
};

} // namespace coppice
