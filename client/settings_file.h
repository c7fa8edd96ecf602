// SPDX-License-Identifier: Apache-2.0
// A device's settings: client.toml of its folder, the environment, flags.
#pragma once

#include "client/settings.h"

namespace coppice {

Result<ClientSettings> load_client_settings(const fs::path& directory,
                                            const Environment& environment,
                                            std::span<const Override> flags);

} // namespace coppice
