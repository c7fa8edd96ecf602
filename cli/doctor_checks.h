// SPDX-License-Identifier: Apache-2.0
// What `coppice doctor` looks at. Each check gives findings; none changes anything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/settings.h"
#include "protocol/key_set.h"

namespace coppice {

enum class Health { kGood, kWarning, kFault };
const char* health_name(Health health); // "ok", "warning", "fault"

struct Finding {
  std::string check; // "disk"
  Health health = Health::kGood;
  std::string reading;   // what was found
  std::string mend = {}; // what to do; empty where all is well
};

// The machine and the program: instruction set, engine module, descriptors.
std::vector<Finding> check_machine();
// Room for files below `directory`.
Finding check_disk(const fs::path& directory);
// Opens the model, and takes its hash anew if `expected` is set.
std::vector<Finding> check_model(const fs::path& model, const std::optional<std::string>& expected);
// That nobody but the owner can touch what is in `keys`.
std::vector<Finding> check_key_permissions(const fs::path& keys);

// That the fleet's keys are in force.
Finding check_expiry(const KeySet& keys, const std::string& mend);
// An error as a finding.
Finding fault(std::string check, const Error& error, std::string mend);
void append(std::vector<Finding>& into, std::vector<Finding> more);

std::vector<Finding> check_aggregator(const fs::path& directory, const Environment& environment);
std::vector<Finding> check_client(const fs::path& directory, const Environment& environment);

} // namespace coppice
