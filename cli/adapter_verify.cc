// SPDX-License-Identifier: Apache-2.0
// `coppice adapter verify`: signature, hashes and chain of the releases in a folder.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "client/device_folder.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

struct Checked {
  std::uint64_t version = 0;
  std::string signature;
  std::string chain;
  std::string content;
  bool good = false;
};

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

Checked check_one(const FleetFolder& fleet, StateStore& state, const Release& release,
                  const std::optional<Release>& before) {
  Checked row;
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

Result<std::vector<Checked>> check_fleet(const fs::path& directory) {
  const FleetFolder fleet = COPPICE_TRY(FleetFolder::open(directory));
  StateStore state = COPPICE_TRY(StateStore::observe(directory));
  const auto newest = COPPICE_TRY(state.newest_version());
  std::vector<Checked> rows;
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

Result<std::vector<Checked>> check_device(const fs::path& directory) {
  const DeviceFolder folder(directory);
  const Membership membership = COPPICE_TRY(folder.membership());
  COPPICE_TRY(open_key_set(membership.fleet_key, membership.signed_keys));
  const auto shared = folder.shared(membership.keys.verify);
  if (!shared) {
    return std::vector<Checked>{{0, kGood, "-", shared.error().message, false}};
  }
  if (!*shared) {
    return Error{ErrorCode::kNotFound,
                 cat(directory.string(),
                     " holds no release that its fleet's present keys signed: "
                     "it comes with the next 'coppice client run'")};
  }
  const Release& release = (*shared)->release;
  const bool ours = release.base_hash == membership.base_hash && release.fleet == membership.fleet;
  return std::vector<Checked>{
      {release.version.value, kGood, ours ? kGood : "another fleet's or base's", kGood, ours}};
}

Result<ExitCode> verify(Context& context, const std::string& directory) {
  std::error_code code;
  if (!fs::is_directory(directory, code)) {
    return Error{ErrorCode::kNotFound, cat("there is no folder ", directory)};
  }
  const bool device = fs::exists(fs::path(directory) / "client.toml", code);
  const auto rows = COPPICE_TRY(device ? check_device(directory) : check_fleet(directory));
  Table table({{"release", Align::kRight}, {"signature"}, {"chain"}, {"content"}});
  Json list = Json::array();
  bool good = true;
  for (const Checked& row : rows) {
    good = good && row.good;
    table.add_row({cat(row.version), row.signature, row.chain, row.content});
    list.push_back({{"version", row.version},
                    {"signature", row.signature},
                    {"chain", row.chain},
                    {"content", row.content},
                    {"ok", row.good}});
  }
  Console& console = context.console;
  console.write(table.render());
  console.print();
  console.print(good ? "every release verifies"
                     : console.styled(Style::kBad, "not every release verifies"));
  console.finish("coppice.adapter_verify.v1", Json{{"ok", good}, {"releases", std::move(list)}});
  return good ? ExitCode::kOk : ExitCode::kBadInput;
}

} // namespace

void add_adapter_verify_command(CLI::App& parent, Context& context) {
  auto directory = std::make_shared<std::string>();
  CLI::App& command =
      new_command(parent, context,
                  {.name = "verify",
                   .summary = "Signatures, hashes and chain of the releases in a folder",
                   .example = "coppice adapter verify fleet\n"
                              "coppice adapter verify device"},
                  [directory](Context& at) { return verify(at, *directory); });
  command.add_option("DIR", *directory, "Folder of an aggregator or of a device")->required();
}

} // namespace coppice
