// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace coppice {
namespace {

TEST(Table, AlignsColumnsAndSaysWhatIsBetter) {
  Table table({{"client"}, {"base", Align::kRight}, {"gain", Align::kRight}});
  table.set_caption("bits per byte, lower is better");
  table.add_row({"Anna", "2.3617", "+16.9 %"});
  table.add_row({"Ben", "12.5", "-0.1 %"});
  table.add_rule();
  table.add_row({"mean", "7.4", "+8.4 %"});
  EXPECT_EQ(table.render(),
            "bits per byte, lower is better\n"
            "client    base     gain\n"
            "-----------------------\n"
            "Anna    2.3617  +16.9 %\n"
            "Ben       12.5   -0.1 %\n"
            "-----------------------\n"
            "mean       7.4   +8.4 %\n");
}

TEST(Table, LeavesNoBlanksAtTheEndsOfLines) {
  Table table({{"name"}, {"note"}});
  table.add_row({"a", ""});
  table.add_row({"b", "a long note"});
  EXPECT_EQ(table.render(),
            "name  note\n"
            "-----------------\n"
            "a\n"
            "b     a long note\n");
}

TEST(Table, CountsLettersNotBytes) {
  Table table({{"name"}, {"n", Align::kRight}});
  table.add_row({"Zo\xC3\xAB", "1"}); // three letters in four bytes
  table.add_row({"Abel", "2"});
  EXPECT_EQ(table.render(),
            "name  n\n"
            "-------\n"
            "Zo\xC3\xAB   1\n"
            "Abel  2\n");
}

TEST(Table, GivesGainsInPercentOfWhatWasBefore) {
  EXPECT_EQ(gain_percent(2.0, 1.5), "+25.0 %");
  EXPECT_EQ(gain_percent(2.0, 2.5), "-25.0 %");
  EXPECT_EQ(gain_percent(2.0, 2.0001), "0.0 %");
  EXPECT_EQ(gain_percent(0.0, 1.0), "-");
  EXPECT_EQ(gain_percent(2.0, std::nan("")), "-");
}

TEST(Table, GroupsDigitsByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

} // namespace
} // namespace coppice
