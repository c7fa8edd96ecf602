// SPDX-License-Identifier: Apache-2.0
// Readings of a Linux device from /sys and /proc, below a root that tests can replace.
#pragma once

#include "base/file.h"
#include "client/eligibility.h"

namespace coppice {

class LinuxConditions final : public DeviceConditions {
 public:
  explicit LinuxConditions(fs::path root = "/") : root_(std::move(root)) {}
  DeviceReadings read() const override;

 private:
  fs::path root_;
};

// Lowers this process's priority (nice), for the training worker's process. Best effort.
void be_nice(int level);

} // namespace coppice
