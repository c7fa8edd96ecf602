// SPDX-License-Identifier: Apache-2.0
// Is this plan one that the device may follow? Against its fleet, its adapter and its owner's
// floors.
//
// Pure. The reason of a refusal stays on the device; the aggregator hears "not now".
#pragma once

#include <optional>
#include <string>

#include "client/device_folder.h"
#include "client/settings.h"
#include "protocol/round_plan.h"

namespace coppice {

// Features that plans may require and this version has.
std::vector<std::string> supported_features();

// None if the plan is acceptable to a device with these marks.
std::optional<std::string> plan_refusal(const RoundPlan& plan, const Membership& membership,
                                        const SharedAdapter& shared, const OwnerFloors& floors,
                                        const DeviceMarks& marks);

} // namespace coppice
