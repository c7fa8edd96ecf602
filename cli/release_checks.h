// SPDX-License-Identifier: Apache-2.0
// What `coppice adapter verify` finds of each release in a folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"

namespace coppice {

struct ReleaseCheck {
  std::uint64_t version = 0;
  std::string signature; // "ok", or what is wrong
  std::string chain;
  std::string content;
  bool good = false;
};

// In the order of the releases. kNotFound and the like if the folder isn't one.
Result<std::vector<ReleaseCheck>> check_fleet_releases(const fs::path& directory);
Result<std::vector<ReleaseCheck>> check_device_releases(const fs::path& directory);

} // namespace coppice
