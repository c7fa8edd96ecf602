// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace coppice {

// Found by gtest's printer.
void PrintTo(const GraphParameters& parameters, std::ostream* out) { // NOLINT(*-identifier-naming)
  *out << parameters.degree << '/' << parameters.threshold;
}

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr ServerModel kHonest = ServerModel::kSemiHonest;
constexpr ServerModel kMalicious = ServerModel::kSemiMalicious;

GraphAssumptions assume(double corrupt, double dropout, ServerModel server,
                        double security_bits = 40, double correctness_bits = 40) {
  return {.corrupt = corrupt,
          .dropout = dropout,
          .server = server,
          .security_bits = security_bits,
          .correctness_bits = correctness_bits};
}

// One row of a published table: parameters by number of members; degree 0 where none is given.
struct TableRow {
  double corrupt;
  double dropout;
  ServerModel server;
  std::vector<GraphParameters> expected;
};

void expect_row(const TableRow& row, const std::vector<std::uint32_t>& members,
                double correctness_bits) {
  ASSERT_EQ(row.expected.size(), members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (row.expected[i].degree == 0) continue;
    const auto assumed = assume(row.corrupt, row.dropout, row.server, 40, correctness_bits);
    const auto found = find_sparse_graph_parameters(members[i], assumed);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, row.expected[i])
        << members[i] << " members, " << row.corrupt << " corrupt, " << row.dropout << " leaving";
    if (members[i] >= kCompleteGraphBelow) {
      EXPECT_EQ(find_graph_parameters(members[i], assumed).value(), row.expected[i]);
      EXPECT_TRUE(check_graph_security(members[i], row.expected[i], assumed));
    }
  }
}

// graph_parameter_finder_test.cc of Google's fcp (security 2^-40, correctness 2^-20). Its rows for
// no adversary equal its semi-honest ones without corrupt members. Two rows are left out: see the
// next test.
TEST(SecAggParameters, TheyAreThoseOfGooglesFinder) {
  const std::vector<std::uint32_t> members{10, 100, 1000, 10'000, 100'000, 1'000'000};
  const std::vector<TableRow> rows{
      {.45, .45, kHonest, {{}, {92, 46}, {822, 417}, {3494, 1771}, {5508, 2788}, {6240, 3156}}},
      {.33, .33, kHonest, {{8, 4}, {68, 34}, {286, 150}, {422, 221}, {480, 251}, {518, 270}}},
      {.3, .3, kMalicious, {{}, {92, 62}, {872, 584}, {4822, 3230}, {9388, 6286}, {11136, 7454}}},
      {.05, .33, kHonest, {{}, {28, 6}, {72, 24}, {86, 29}, {96, 32}, {102, 34}}},
      {.05, .33, kMalicious, {{8, 5}, {72, 39}, {398, 223}, {746, 420}, {882, 496}, {970, 545}}},
      {.33, .05, kHonest, {{4, 4}, {34, 29}, {78, 60}, {92, 70}, {102, 77}, {110, 83}}},
      {.33, .05, kMalicious, {{4, 4}, {42, 37}, {132, 109}, {178, 146}, {196, 160}, {212, 173}}},
      {.05, .05, kHonest, {{2, 2}, {12, 6}, {30, 17}, {34, 20}, {36, 21}, {38, 22}}},
      {.05, .05, kMalicious, {{2, 2}, {16, 11}, {52, 37}, {62, 44}, {68, 48}, {74, 52}}},
      {.33, 0, kHonest, {{4, 4}, {26, 25}, {38, 36}, {42, 40}, {46, 44}, {50, 47}}},
      {.33, 0, kMalicious, {{4, 4}, {26, 26}, {38, 37}, {42, 41}, {46, 45}, {50, 49}}},
      {0, .33, kHonest, {{}, {26, 2}, {38, 2}, {42, 2}, {46, 2}, {50, 2}}},
      {0, .33, kMalicious, {{8, 5}, {68, 35}, {228, 115}, {326, 164}, {372, 187}, {410, 206}}},
      {0, 0, kHonest, {{2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}}},
      {0, 0, kMalicious, {{2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}}},
  };
  for (const TableRow& row : rows) expect_row(row, members, 20);
}

// 10 members of which 3 leave: Google's rows say degree 4, threshold 2. But all three are among
// four neighbours of one member with probability C(7, 1) / C(10, 4) = 1 / 30, and then one share is
// left: the threshold was raised to Shamir's least, 2, after the check. Ours is raised before it.
TEST(SecAggParameters, TwoOfGooglesRowsForTenMembersAreNotTaken) {
  for (const double corrupt : {.05, 0.}) {
    EXPECT_EQ(find_sparse_graph_parameters(10, assume(corrupt, .33, kHonest, 40, 20)).value(),
              (GraphParameters{.degree = 6, .threshold = 2}));
  }
}

TEST(SecAggParameters, WhereGooglesFinderFindsNoneWeDoNeither) {
  for (const auto& assumed : {assume(.5, .5, kHonest, 40, 20), assume(.5, .5, kMalicious, 40, 20),
                              assume(.33, .33, kMalicious, 40, 20), assume(.1, 1, kHonest, 40, 20),
                              assume(.1, -1, kHonest, 40, 20)}) {
    EXPECT_FALSE(find_graph_parameters(1000, assumed));
    EXPECT_FALSE(find_sparse_graph_parameters(1000, assumed));
  }
  EXPECT_FALSE(find_graph_parameters(0, assume(.1, .1, kHonest)));
}

// An independent port of that finder, with security and correctness both 2^-40.
TEST(SecAggParameters, TheyAreThoseOfTheTableForBothAtForty) {
  const std::vector<std::uint32_t> members{100, 256, 500, 1000, 2000, 5000, 10'000, 100'000};
  const std::vector<TableRow> rows{
      {.05,
       .05,
       kHonest,
       {{12, 6}, {26, 13}, {32, 17}, {36, 19}, {40, 20}, {42, 21}, {42, 22}, {46, 23}}},
      {.1,
       .1,
       kHonest,
       {{22, 11}, {42, 21}, {52, 26}, {58, 30}, {62, 32}, {66, 34}, {68, 35}, {74, 37}}},
      {.1,
       .3,
       kHonest,
       {{40, 11}, {74, 25}, {96, 34}, {114, 41}, {124, 45}, {134, 49}, {140, 51}, {150, 55}}},
      {.33,
       .1,
       kHonest,
       {{42, 32}, {80, 55}, {104, 70}, {126, 84}, {138, 91}, {148, 98}, {156, 103}, {168, 111}}},
      {.05,
       .05,
       kMalicious,
       {{16, 11}, {38, 26}, {58, 39}, {68, 46}, {76, 51}, {82, 55}, {86, 58}, {92, 62}}},
      {.1,
       .1,
       kMalicious,
       {{32, 22}, {74, 50}, {104, 70}, {128, 86}, {146, 98}, {158, 106}, {166, 111}, {182, 122}}},
      {.1,
       .2,
       kMalicious,
       {{52, 32},
        {120, 73},
        {190, 118},
        {256, 159},
        {310, 193},
        {360, 224},
        {384, 239},
        {430, 268}}},
      {.1,
       .3,
       kMalicious,
       {{72, 42}, {176, 101}, {314, 183}, {504, 296}, {712, 419}, {954, 562}, {1078, 635}, {}}},
  };
  for (const TableRow& row : rows) expect_row(row, members, 40);
}

// ---- a slow twin: every even degree in turn, every tail summed from its end ----

class SlowFinder {
 public:
  SlowFinder(std::uint32_t members, const GraphAssumptions& assumed)
      : n_(members), assumed_(assumed), log_factorials_(members + 1) {
    for (std::uint32_t i = 2; i <= n_; ++i) {
      log_factorials_[i] = log_factorials_[i - 1] + std::log(static_cast<long double>(i));
    }
  }

  std::optional<GraphParameters> find() const {
    const std::uint32_t corrupt = whole(assumed_.corrupt);
    const std::uint32_t dropped = whole(assumed_.dropout);
    for (std::uint32_t k = 2; k < n_ - 1; k += 2) {
      if (!connected(k, corrupt + dropped)) continue;
      const std::uint32_t y1 = first_rare(corrupt, k, assumed_.security_bits + 1);
      const std::uint32_t y2 = first_rare(dropped, k, assumed_.correctness_bits);
      for (std::uint32_t t = 2; t + y2 <= k + 1; ++t) {
        const bool secret = assumed_.server == kHonest ? t >= y1 : 2 * t > k + y1 - 1;
        if (secret) return GraphParameters{.degree = k, .threshold = t};
      }
    }
    return std::nullopt;
  }

 private:
  std::uint32_t whole(double share) const {
    return static_cast<std::uint32_t>(std::floor(share * n_ + 1e-9));
  }
  long double choose(std::uint32_t all, std::uint32_t some) const {
    return log_factorials_[all] - log_factorials_[some] - log_factorials_[all - some];
  }
  std::uint32_t first_rare(std::uint32_t marked, std::uint32_t k, double bits) const {
    const long double odds = std::pow(2.0L, -static_cast<long double>(bits)) / n_;
    long double tail = 0;
    std::uint32_t y = std::min(marked, k) + 1;
    while (y > 0 && tail < odds && k - (y - 1) <= n_ - marked) {
      --y;
      tail += std::exp(choose(marked, y) + choose(n_ - marked, k - y) - choose(n_, k));
    }
    return tail < odds ? y : y + 1;
  }
  bool connected(std::uint32_t k, std::uint32_t bad) const {
    if (k > bad) return true;
    const long double cut = std::log(n_ * (n_ - k - 1.0L) / 2) + choose(bad, k) - choose(n_, k);
    return cut < -(assumed_.security_bits + 1) * std::log(2.0L);
  }

  std::uint32_t n_;
  GraphAssumptions assumed_;
  std::vector<long double> log_factorials_;
};

void expect_as_the_slow_finder(std::uint32_t members, const GraphAssumptions& assumed) {
  const double weight = assumed.server == kMalicious ? 2 : 1;
  if (assumed.corrupt + weight * assumed.dropout > .9) return; // refused without a search
  const auto slow = SlowFinder(members, assumed).find();
  const auto fast = find_sparse_graph_parameters(members, assumed);
  ASSERT_EQ(fast.ok(), slow.has_value())
      << members << ": " << assumed.corrupt << ", " << assumed.dropout;
  if (slow) {
    EXPECT_EQ(*fast, *slow) << members << ": " << assumed.corrupt << ", " << assumed.dropout;
  }
}

TEST(SecAggParameters, NoDegreeThatWouldDoIsJumpedOver) {
  for (const ServerModel server : {kHonest, kMalicious}) {
    for (const double corrupt : {0., .03, .1, .25, .4}) {
      for (const double dropout : {0., .05, .1, .3, .45}) {
        for (const double bits : {3., 20., 43.}) {
          const auto assumed = assume(corrupt, dropout, server, bits, 63 - bits);
          for (std::uint32_t n = 3; n <= 120; n += 1 + n / 20)
            expect_as_the_slow_finder(n, assumed);
          expect_as_the_slow_finder(400, assumed);
        }
      }
    }
  }
}

// ---- complete graphs: every set and every lie, tried out ----

// Whether any server and any `corrupt` members learn a secret that they shouldn't of a member with
// `neighbours` neighbours. Members are alike in a complete graph, so one victim stands for all.
bool some_attack_works(std::uint32_t neighbours, std::uint32_t corrupt, std::uint32_t threshold,
                       ServerModel server) {
  for (std::uint32_t bad = 0; bad < (1U << neighbours); ++bad) {
    if (std::popcount(bad) > static_cast<int>(corrupt)) continue;
    const auto bad_count = static_cast<std::uint32_t>(std::popcount(bad));
    if (server == kHonest) { // all honest neighbours give the same kind; the other must stay secret
      if (bad_count >= threshold) return true;
      continue;
    }
    for (std::uint32_t told_alive = 0; told_alive < (1U << neighbours); ++told_alive) {
      if ((told_alive & bad) != 0) continue; // of honest ones; the others were told it is gone
      const auto alive = static_cast<std::uint32_t>(std::popcount(told_alive));
      const std::uint32_t gone = neighbours - bad_count - alive;
      if (alive + bad_count >= threshold && gone + bad_count >= threshold) return true;
    }
  }
  return false;
}

// Whether some set of up to `dropped` members takes too many shares of some member with it.
bool some_loss_is_fatal(std::uint32_t members, std::uint32_t dropped, std::uint32_t threshold) {
  for (std::uint32_t gone = 0; gone < (1U << members); ++gone) {
    if (std::popcount(gone) > static_cast<int>(dropped)) continue;
    for (std::uint32_t member = 0; member < members; ++member) {
      const std::uint32_t others = ((1U << members) - 1) & ~(1U << member);
      if (std::popcount(others & ~gone) < static_cast<int>(threshold)) return true;
    }
  }
  return false;
}

TEST(SecAggParameters, CompleteGraphsTakeTheHighestThresholdThatSurvivesEveryAttackAndEveryLoss) {
  for (const ServerModel server : {kHonest, kMalicious}) {
    for (std::uint32_t members = 3; members <= 9; ++members) {
      for (const double corrupt : {0., .1, .2, .34, .5, .75}) {
        for (const double dropout : {0., .1, .25, .34, .6}) {
          const auto c = static_cast<std::uint32_t>(corrupt * members + 1e-9);
          const auto d = static_cast<std::uint32_t>(dropout * members + 1e-9);
          const auto highest = [&](std::uint32_t dropped) {
            std::optional<GraphParameters> most;
            for (std::uint32_t t = 2; t < members; ++t) {
              if (some_attack_works(members - 1, c, t, server)) continue;
              if (!some_loss_is_fatal(members, dropped, t)) {
                most = {.degree = members - 1, .threshold = t};
              }
            }
            return most;
          };
          auto expected = highest(d);
          if (d == 0 && dropout > 0 && highest(1)) expected = highest(1);
          const auto found = find_graph_parameters(members, assume(corrupt, dropout, server));
          ASSERT_EQ(found.ok(), expected.has_value()) << members << ": " << c << ", " << d;
          if (expected) {
            EXPECT_EQ(*found, *expected) << members << ": " << c << ", " << d;
          }
        }
      }
    }
  }
}

// Every way to tell five honest devices different survivors, each list with at most `most_gone`
// neighbours gone: the most members whose mask keys the server can then recover.
std::uint32_t most_struck(std::uint32_t threshold, int most_gone) {
  constexpr std::uint32_t kMembers = 5;
  std::vector<std::uint32_t> lists; // sets of those gone
  for (std::uint32_t list = 0; list < (1U << kMembers); ++list) {
    if (std::popcount(list) <= most_gone) lists.push_back(list);
  }
  std::uint32_t most = 0;
  std::array<std::size_t, kMembers> told{}; // an odometer over the lists
  for (bool more = true; more;) {
    std::array<std::uint32_t, kMembers> shares{};
    for (std::uint32_t device = 0; device < kMembers; ++device) {
      for (std::uint32_t other = 0; other < kMembers; ++other) {
        if (other != device) shares[other] += lists[told[device]] >> other & 1U;
      }
    }
    std::uint32_t struck = 0;
    for (const std::uint32_t count : shares) struck += count >= threshold ? 1U : 0U;
    most = std::max(most, struck);
    more = false;
    for (std::size_t digit = 0; digit < kMembers && !more; ++digit) {
      told[digit] = (told[digit] + 1) % lists.size();
      more = told[digit] != 0;
    }
  }
  return most;
}

// Note [Equivocation and the size of a sum], with k = 4, t = 3, all five honest: floor(5 g / 3).
TEST(SecAggParameters, TellingDifferentSurvivorsStrikesNoMoreThanTheBound) {
  EXPECT_EQ(find_graph_parameters(5, assume(0, .2, kMalicious)).value().threshold, 3U);
  EXPECT_EQ(most_struck(3, 0), 0U);
  EXPECT_EQ(most_struck(3, 1), 1U); // g <= k - t
  EXPECT_EQ(most_struck(3, 2), 3U) << "two are left of the three that every list named";
}

// Eight devices; one is killed after masking, and one after its upload was acknowledged, so that it
// is in the sum and gives no shares.
TEST(SecAggParameters, TheDemosEightDevicesLoseTwoOfAnyKind) {
  const GraphAssumptions demo{.corrupt = .1, .dropout = .25};
  const GraphParameters found = find_graph_parameters(8, demo).value();
  EXPECT_EQ(found, (GraphParameters{.degree = 7, .threshold = 5}));
  for (std::uint32_t left_out = 0; left_out < 8; ++left_out) {
    for (std::uint32_t silent = 0; silent < 8; ++silent) {
      if (silent == left_out) continue;
      for (std::uint32_t owner = 0; owner < 8; ++owner) {
        std::uint32_t shares = 0;
        for (std::uint32_t holder = 0; holder < 8; ++holder) {
          if (holder != owner && holder != left_out && holder != silent) ++shares;
        }
        EXPECT_GE(shares, found.threshold);
      }
    }
  }
  EXPECT_TRUE(some_loss_is_fatal(8, 3, found.threshold)) << "three are too many";
  EXPECT_FALSE(some_attack_works(7, 2, found.threshold, kMalicious)) << "more than is assumed";
  EXPECT_TRUE(some_attack_works(7, 3, found.threshold, kMalicious)) << "three are too many";
}

// Tails can't be rarer than never: at the margin of nine tenths, even the worst case is met.
TEST(SecAggParameters, FromThirtyTwoASparseGraphIsFoundUpToTheMargin) {
  for (std::uint32_t members = kCompleteGraphBelow; members < 200; ++members) {
    for (const double corrupt : {.1, .3, .5, .8}) {
      EXPECT_TRUE(find_graph_parameters(members, assume(corrupt, .9 - corrupt, kHonest, 128, 128)));
      EXPECT_TRUE(find_graph_parameters(members,
                                        assume(corrupt, (.9 - corrupt) / 2, kMalicious, 128, 128)));
    }
  }
}

TEST(SecAggParameters, BelowThirtyTwoTheGraphIsComplete) {
  const auto assumed = assume(.05, .05, kMalicious);
  EXPECT_EQ(find_graph_parameters(31, assumed).value().degree, 30U);
  EXPECT_LT(find_graph_parameters(100, assumed).value().degree, 99U);
}

TEST(SecAggParameters, FewerThanThreeDevicesAreRefused) {
  for (const std::uint32_t members : {0U, 1U, 2U}) {
    const auto found = find_graph_parameters(members, assume(0, 0, kHonest));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_THAT(found.error().message, HasSubstr("at least 3 devices"));
  }
  EXPECT_EQ(find_graph_parameters(3, assume(.34, 0, kMalicious)).value(),
            (GraphParameters{.degree = 2, .threshold = 2}));
}

TEST(SecAggParameters, WhatCannotBeMetIsRefusedWithItsNumbers) {
  for (const std::uint32_t members : {10U, 1000U}) {
    const auto found = find_graph_parameters(members, assume(.3, .4, kMalicious));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_THAT(found.error().message,
                AllOf(HasSubstr(std::to_string(members) + " devices"),
                      HasSubstr(std::to_string(members * 3 / 10) + " work with a semi-malicious"),
                      HasSubstr(std::to_string(members * 4 / 10) + " leave"),
                      HasSubstr("gather more devices")));
  }
}

TEST(SecAggParameters, ValuesOutOfRangeAreRefused) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& assumed :
       {assume(-.1, .1, kHonest), assume(1, .1, kHonest), assume(.1, -.1, kHonest),
        assume(.1, 1, kHonest), assume(kNan, .1, kHonest), assume(.1, kNan, kHonest),
        assume(.1, .1, kHonest, 0), assume(.1, .1, kHonest, 40, 0), assume(.1, .1, kHonest, 129),
        assume(.1, .1, kHonest, kNan), assume(.1, .1, kHonest, 40, kNan)}) {
    const auto found = find_graph_parameters(1000, assumed);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(check_graph_security(1000, {128, 86}, assumed).error().code,
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(find_graph_parameters(kMaxMembers + 1, {}).error().code, ErrorCode::kInvalidArgument);
}

// ---- what a device checks ----

std::string refusal(std::uint32_t members, const GraphParameters& parameters,
                    const GraphAssumptions& assumed) {
  const auto checked = check_graph_security(members, parameters, assumed);
  if (checked) return "";
  EXPECT_EQ(checked.error().code, ErrorCode::kFailedPrecondition);
  return checked.error().message;
}

TEST(SecAggParameters, WhatIsFoundIsSecureAndInASparseGraphOneShareLessIsNot) {
  for (const ServerModel server : {kHonest, kMalicious}) {
    for (const std::uint32_t members : {5U, 8U, 20U, 31U, 32U, 100U, 1000U, 20'000U}) {
      for (const double corrupt : {.1, .2}) {
        const auto assumed = assume(corrupt, .1, server, 43);
        const GraphParameters found = find_graph_parameters(members, assumed).value();
        EXPECT_EQ(refusal(members, found, assumed), "");
        if (members < kCompleteGraphBelow) continue; // there the threshold is the highest
        const GraphParameters less{found.degree, found.threshold - 1};
        EXPECT_THAT(refusal(members, less, assumed), HasSubstr("threshold"));
      }
    }
  }
}

TEST(SecAggParameters, ADeviceRefusesWhatItsOwnAssumptionsForbid) {
  const GraphAssumptions plan = assume(.05, .05, kHonest);
  const GraphParameters found = find_graph_parameters(1000, plan).value();
  EXPECT_EQ(refusal(1000, found, plan), "");
  EXPECT_THAT(refusal(1000, found, assume(.05, .05, kMalicious)), HasSubstr("semi-malicious"));
  EXPECT_THAT(refusal(1000, found, assume(.2, .05, kHonest)), HasSubstr("200 devices"));
  EXPECT_THAT(refusal(1000, found, assume(.05, .05, kHonest, 60)), HasSubstr("2^-60"));
  // More that leave are the server's trouble, until they cut the graph.
  EXPECT_EQ(refusal(1000, found, assume(.05, .2, kHonest)), "");
  EXPECT_THAT(refusal(1000, found, assume(.05, .6, kHonest)), HasSubstr("falls apart"));
}

TEST(SecAggParameters, MisshapenGraphsAreRefused) {
  const auto assumed = assume(0, .05, kHonest, 1);
  EXPECT_THAT(refusal(100, {2, 2}, assumed), HasSubstr("falls apart"));
  EXPECT_THAT(refusal(100, {33, 20}, assumed), HasSubstr("even"));
  EXPECT_THAT(refusal(100, {0, 2}, assumed), HasSubstr("even"));
  EXPECT_THAT(refusal(100, {100, 60}, assumed), HasSubstr("even"));
  EXPECT_THAT(refusal(100, {4'000'000'000, 60}, assumed), HasSubstr("even"));
  EXPECT_THAT(refusal(100, {50, 1}, assumed), HasSubstr("2 to the number"));
  EXPECT_THAT(refusal(100, {50, 51}, assumed), HasSubstr("2 to the number"));
  EXPECT_THAT(refusal(31, {20, 15}, assumed), HasSubstr("all are neighbours"));
  EXPECT_THAT(refusal(2, {1, 1}, assumed), HasSubstr("at least 3"));
  EXPECT_EQ(refusal(100, {99, 60}, assumed), "");
}

} // namespace
} // namespace coppice
