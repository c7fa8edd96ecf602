// SPDX-License-Identifier: Apache-2.0
#include "aggregator/secagg_groups.h"

#include <algorithm>

#include "base/append.h"
#include "base/text.h"

namespace coppice {

std::uint32_t group_in(const GroupOf& groups, const ClientId& client) {
  const auto found = groups.find(client);
  return found == groups.end() ? 0 : found->second;
}

SecAggGroups::SecAggGroups(const SecAggServerContext& context, std::uint32_t groups,
                           const GroupOf& group_of)
    : committed_(groups), group_of_(group_of) {
  machines_.reserve(groups);
  for (std::uint32_t group = 0; group < groups; ++group) machines_.emplace_back(context);
}

Result<SecAggGroups> SecAggGroups::restore(const SecAggServerContext& context, std::uint32_t groups,
                                           const GroupOf& group_of, ByteSpan state) {
  std::vector<Bytes> parts;
  if (groups == 1) {
    parts.emplace_back(state.begin(), state.end());
  } else {
    ByteReader reader(state);
    if (COPPICE_TRY(reader.take<std::uint32_t>("groups")) != groups) {
      return Error{ErrorCode::kCorrupt,
                   "the stored state of secure aggregation is of another number of groups; the "
                   "round is abandoned"};
    }
    for (std::uint32_t group = 0; group < groups; ++group) {
      const auto size = COPPICE_TRY(reader.take<std::uint64_t>("a group's size"));
      const ByteSpan part = COPPICE_TRY(reader.take_raw(size, "a group's state"));
      parts.emplace_back(part.begin(), part.end());
    }
    COPPICE_TRY(reader.expect_end("the state of secure aggregation"));
  }
  std::vector<SecAggServer> machines;
  for (const Bytes& part : parts) {
    machines.push_back(COPPICE_TRY(SecAggServer::restore(context, part)));
  }
  SecAggGroups made(std::move(machines), group_of);
  made.committed_ = std::move(parts);
  return made;
}

Bytes SecAggGroups::serialize() const {
  const auto part = [this](std::uint32_t group) {
    return committed_[group].empty() ? machines_[group].serialize() : committed_[group];
  };
  if (size() == 1) return part(0);
  ByteWriter writer;
  writer.put(size());
  for (std::uint32_t group = 0; group < size(); ++group) {
    const Bytes bytes = part(group);
    writer.put(std::uint64_t{bytes.size()});
    writer.put_raw(bytes);
  }
  return std::move(writer).take();
}

bool SecAggGroups::agreeing() const {
  return std::ranges::any_of(machines_, [](const SecAggServer& machine) {
    const SecAggServerPhase& phase = machine.phase();
    return std::holds_alternative<SecAggGathering>(phase) ||
           std::holds_alternative<SecAggOpening>(phase) ||
           std::holds_alternative<SecAggSharing>(phase);
  });
}

// The phases are in the order of their going, and Lost is the last.
const SecAggServer& SecAggGroups::slowest() const {
  return *std::ranges::min_element(
      machines_, {}, [](const SecAggServer& machine) { return machine.phase().index(); });
}

std::vector<ClientId> SecAggGroups::awaited() const {
  std::vector<ClientId> all;
  for (const SecAggServer& machine : machines_) append(all, machine.awaited());
  return all;
}

} // namespace coppice
