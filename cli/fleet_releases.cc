// SPDX-License-Identifier: Apache-2.0
// A fleet's releases, for `coppice adapter verify`: signatures, the chain, and what is stored.
#include <algorithm>

#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "cli/release_checks.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr const char* kGood = "ok";

const char* verdict(bool good, const char* bad) { return good ? kGood : bad; }

// Any of the fleet's key sets may have signed it: keys rotate, releases stay.
std::optional<Release> open_release(const FleetFolder& fleet, const SignedRelease& signed_release) {
  for (std::uint64_t number = fleet.keys().set.number.value; number > 0; --number) {
    const AggregatorKeys* keys = fleet.keys(KeySetNumber{number});
    if (keys == nullptr) continue;
    auto release = verify_release(keys->set.verify, signed_release);
    if (release) return *release;
  }
  return std::nullopt;
}

ReleaseCheck check_one(const FleetFolder& fleet, StateStore& state, const Release& release,
                       const std::optional<Release>& before) {
  ReleaseCheck row;
  row.version = release.version.value;
  row.signature = kGood;
  const bool first = release.version.value == 0;
  const bool linked = first ? release.parent_hash.is_zero()
                            : before && before->version.next() == release.version &&
                                  before->adapter_hash == release.parent_hash &&
                                  !(release.epoch < before->epoch);
  const bool ours = release.base_hash == fleet.facts().base_hash &&
                    release.spec_hash == sha256(fleet.spec()->encode()) &&
                    release.fleet == fleet.facts().fleet;
  row.chain = !ours ? "another fleet's or base's" : verdict(linked, "doesn't follow its parent");
  const auto bytes = state.content(release.adapter_hash);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
    row.content = "pruned";
  } else {
    row.content = verdict(bytes.ok() && sha256(*bytes) == release.adapter_hash, "damaged");
  }
  row.good = row.chain == kGood && row.content != "damaged";
  return row;
}

} // namespace

Result<std::vector<ReleaseCheck>> check_fleet_releases(const fs::path& directory) {
  const FleetFolder fleet = COPPICE_TRY(FleetFolder::open(directory));
  StateStore state = COPPICE_TRY(StateStore::observe(directory));
  const auto newest = COPPICE_TRY(state.newest_version());
  std::vector<ReleaseCheck> rows;
  if (!newest) return rows;
  auto releases = COPPICE_TRY(state.releases(static_cast<std::size_t>(newest->value) + 1));
  std::reverse(releases.begin(), releases.end()); // newest first -> in order
  std::optional<Release> before;
  for (const SignedRelease& signed_release : releases) {
    const auto release = open_release(fleet, signed_release);
    if (!release) {
      const std::uint64_t version = before ? before->version.value + 1 : 0;
      rows.push_back({version, "doesn't verify", "-", "-", false});
      before.reset();
      continue;
    }
    rows.push_back(check_one(fleet, state, *release, before));
    before = release;
  }
  return rows;
}

} // namespace coppice
