// SPDX-License-Identifier: Apache-2.0
// A thousand devices with the real cryptography and a tenth of them gone: the sum is exact, what a
// device sends beside its vector is small, and what the server does is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <numeric>

#include "tests/protocol/secagg_harness.h"

namespace coppice {
namespace {

std::size_t print_bytes(const char* direction, const std::map<std::string, std::size_t>& kinds) {
  std::size_t sum = 0;
  for (const auto& [kind, bytes] : kinds) {
    std::cout << direction << " " << kind << ": " << bytes << " bytes\n";
    sum += bytes;
  }
  std::cout << direction << " in all: " << sum << " bytes\n";
  return sum;
}

TEST(SecAggThousand, ATenthLeavesAfterMaskingAndTheSumIsExact) {
  constexpr std::uint32_t kDevices = 1000;
  const GraphAssumptions published{.security_bits = 40}; // 128 neighbours, threshold 86
  SecAggHarness round({.devices = kDevices,
                       .real_primitives = true,
                       .plan = published,
                       .owner = published,
                       .elements = 16});
  for (std::uint32_t i = 0; i < kDevices / 10; ++i) {
    round.die_at(10 * i, SecAggMoment::kAfterMasking);
  }
  round.start();
  round.deliver();
  round.settle();
  EXPECT_EQ(round.server().parameters(), (GraphParameters{128, 86}));
  round.deliver();
  round.run();
  ASSERT_TRUE(round.finished()) << round.abandoned_because();
  EXPECT_EQ(round.sum(), round.expected_sum());
  EXPECT_EQ(round.included().size(), 900U);
  EXPECT_THAT(round.violations(), ::testing::IsEmpty());
  constexpr double kVectorBytes = 2.0 * (1U << 20U);
  const std::size_t up = print_bytes("up", round.bytes_up(1));
  print_bytes("down", round.bytes_down(1));
  EXPECT_LE(static_cast<double>(up), 0.02 * kVectorBytes);
  for (const auto& [phase, seconds] : round.server_seconds()) {
    std::cout << "server, " << phase << ": " << seconds << " s\n";
  }
  std::cout << "device's state: " << round.disk(1).size()
            << " bytes, server's: " << round.server_disk().size() << " bytes\n";
}

} // namespace
} // namespace coppice
