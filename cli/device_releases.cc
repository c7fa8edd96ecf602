// SPDX-License-Identifier: Apache-2.0
// The release that a device holds, for `coppice adapter verify`.
#include "base/text.h"
#include "cli/release_checks.h"
#include "client/device_folder.h"

namespace coppice {

Result<std::vector<ReleaseCheck>> check_device_releases(const fs::path& directory) {
  const DeviceFolder folder(directory);
  const Membership membership = COPPICE_TRY(folder.membership());
  COPPICE_TRY(open_key_set(membership.fleet_key, membership.signed_keys));
  const auto shared = folder.shared(membership.keys.verify);
  if (!shared) {
    return std::vector<ReleaseCheck>{{0, "ok", "-", shared.error().message, false}};
  }
  if (!*shared) {
    return Error{ErrorCode::kNotFound,
                 cat(directory.string(),
                     " holds no release that its fleet's present keys signed: "
                     "it comes with the next 'coppice client run'")};
  }
  const Release& release = (*shared)->release;
  const bool ours = release.base_hash == membership.base_hash && release.fleet == membership.fleet;
  return std::vector<ReleaseCheck>{
      {release.version.value, "ok", ours ? "ok" : "another fleet's or base's", "ok", ours}};
}

} // namespace coppice
