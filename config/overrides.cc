// SPDX-License-Identifier: Apache-2.0
#include "config/overrides.h"

#include "base/text.h"

namespace coppice {

Result<std::vector<Override>> parse_overrides(const std::vector<std::string>& assignments,
                                              const std::string& flag) {
  std::vector<Override> overrides;
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      return Error{ErrorCode::kInvalidArgument,
                   cat(flag, " needs section.key=value, not '", assignment, "'")};
    }
    overrides.push_back({assignment.substr(0, equals), assignment.substr(equals + 1), flag});
  }
  return overrides;
}

} // namespace coppice
