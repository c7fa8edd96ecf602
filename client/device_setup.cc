// SPDX-License-Identifier: Apache-2.0
#include "client/device_setup.h"

#include "base/text.h"
#include "client/settings.h"

namespace coppice {

Result<DeviceIdentity> set_up_device(DeviceSetup setup) {
  if (fs::exists(setup.directory / "client.toml")) {
    return Error{ErrorCode::kAlreadyExists,
                 cat(setup.directory.string(), " is a device's folder already; choose another")};
  }
  std::error_code code;
  auto& overrides = setup.overrides;
  overrides.push_back({"client.model", fs::absolute(setup.model, code).string(), "the model"});
  overrides.push_back({"client.data", fs::absolute(setup.data, code).string(), "the data"});
  for (const fs::path& path : {setup.model, setup.data}) {
    if (!fs::exists(path)) {
      return Error{ErrorCode::kNotFound, cat("there is no ", path.string())};
    }
  }
  const Settings settings =
      COPPICE_TRY(Settings::load(client_keys(), std::nullopt, Environment{}, overrides));
  COPPICE_TRY(client_settings(settings));
  const DeviceFolder folder(setup.directory);
  COPPICE_TRY(folder.create());
  const std::string toml = COPPICE_TRY(write_commented_toml(client_keys(), overrides));
  COPPICE_TRY(
      write_file_atomically(setup.directory / "client.toml", as_bytes(toml), FileMode::kPrivate));
  return folder.identity();
}

} // namespace coppice
