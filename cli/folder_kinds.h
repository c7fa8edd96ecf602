// SPDX-License-Identifier: Apache-2.0
// The kinds of folder that the program knows, and what can be looked at in each.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/doctor_checks.h"
#include "cli/release_checks.h"
#include "config/settings.h"

namespace coppice {

struct FolderKind {
  std::string_view name;  // "client", for --client
  std::string_view owner; // "a device"
  std::string_view toml;  // "client.toml": tells the kind
  std::span<const KeySpec> (*keys)();
  std::vector<Finding> (*check)(const fs::path&, const Environment&);   // coppice doctor
  Result<std::vector<ReleaseCheck>> (*check_releases)(const fs::path&); // coppice adapter verify
};
// Those of this program, the first one where nobody says which: commands.cc or device_commands.cc.
std::span<const FolderKind> folder_kinds();

} // namespace coppice
