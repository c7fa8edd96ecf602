// SPDX-License-Identifier: Apache-2.0
#include "sim/virtual_identity.h"

#include <gmock/gmock.h>

#include <set>

namespace coppice {
namespace {

TEST(VirtualIdentity, ManyIdsAtOnceAreThoseOfEachDevice) {
  for (const std::size_t count : {0U, 1U, 63U, 64U, 65U, 300U}) {
    std::vector<std::uint64_t> devices;
    for (std::size_t i = 0; i < count; ++i) devices.push_back(7 * i + 3);
    const std::vector<ClientId> ids = virtual_client_ids(5, devices);
    ASSERT_EQ(ids.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(ids[i], virtual_client_id(5, devices[i])) << count << " " << i;
    }
    EXPECT_EQ(std::set<ClientId>(ids.begin(), ids.end()).size(), count);
  }
}

} // namespace
} // namespace coppice
