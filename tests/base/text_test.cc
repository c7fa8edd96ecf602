// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gmock/gmock.h>

namespace coppice {
namespace {

TEST(Text, SplitTrimJoin) {
  EXPECT_THAT(split("a,b,,c", ','), ::testing::ElementsAre("a", "b", "", "c"));
  EXPECT_EQ(trim(" \t x y\n"), "x y");
  EXPECT_EQ(trim("  "), "");
  EXPECT_EQ(join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
}

TEST(Text, SizesHaveUnits) {
  EXPECT_EQ(human_bytes(12), "12 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(2.5e6), "2.5 MB");
}

TEST(Text, TheNearestNameIsOfferedOnlyIfItIsNear) {
  const std::vector<std::string> names{"learning_rate", "rank", "alpha"};
  EXPECT_EQ(nearest_name("lerning_rate", names), "learning_rate");
  EXPECT_EQ(nearest_name("rnk", names), "rank");
  EXPECT_EQ(nearest_name("quorum", names), "");
}

} // namespace
} // namespace coppice
