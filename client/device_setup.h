// SPDX-License-Identifier: Apache-2.0
// Making a device: its folder, keys, and the owner's settings.
#pragma once

#include <vector>

#include "client/device_folder.h"
#include "config/settings.h"

namespace coppice {

struct DeviceSetup {
  fs::path directory;
  fs::path model; // the fleet's base model
  fs::path data;  // the owner's text
  std::vector<Override> overrides;
};

// Checks the settings, then writes them, commented, as client.toml. kAlreadyExists for a device's
// folder, kNotFound if model or data isn't there.
Result<DeviceIdentity> set_up_device(DeviceSetup setup);

} // namespace coppice
