// SPDX-License-Identifier: Apache-2.0
// Clients whose texts are invented, any number of them: DataSource::kPeople.
#pragma once

#include "sim/client_data.h"

namespace coppice {

// kInvalidArgument for no devices, and for partitions that take a finite pool (shards, drift).
Result<std::unique_ptr<ClientData>> open_people(const DataSettings& settings, std::uint64_t devices,
                                                std::uint64_t seed);

} // namespace coppice
