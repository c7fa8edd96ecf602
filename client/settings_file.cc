// SPDX-License-Identifier: Apache-2.0
#include "client/settings_file.h"

#include "base/text.h"

namespace coppice {

Result<ClientSettings> load_client_settings(const fs::path& directory,
                                            const Environment& environment,
                                            std::span<const Override> flags) {
  const fs::path toml = directory / "client.toml";
  if (!fs::exists(toml)) {
    return Error{ErrorCode::kNotFound, cat(directory.string(),
                                           " is not a device's folder; make one "
                                           "with 'coppice client init'")};
  }
  const Settings settings = COPPICE_TRY(Settings::load(client_keys(), toml, environment, flags));
  return client_settings(settings);
}

} // namespace coppice
