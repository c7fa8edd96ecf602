// SPDX-License-Identifier: Apache-2.0
#include "aggregator/update_rows.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "aggregator/column_sorter.h"
#include "tests/aggregator/update_samples.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// --- Admission -----------------------------------------------------------------------------------

TEST(AdmitRows, TheOrderOfClientsDoesNotShow) {
  const UpdateValues values = {{2, 1}, {1, 5}, {2, 1}, {-3, 0}};
  const std::vector<double> weights = {4, 1, 3, 2};
  const auto one = admit_rows(rows_of(values), weights).value();
  const UpdateValues turned = {values[2], values[3], values[0], values[1]};
  const auto other = admit_rows(rows_of(turned), std::vector<double>{3, 2, 4, 1}).value();
  ASSERT_EQ(one.rows.size(), 4U);
  for (std::size_t row = 0; row < 4; ++row) {
    EXPECT_TRUE(std::ranges::equal(one.rows[row], other.rows[row]));
    EXPECT_EQ(one.weights[row], other.weights[row]);
    EXPECT_EQ(one.rows[row].data(), values[one.clients[row]].data());
    EXPECT_EQ(one.weights[row], weights[one.clients[row]] / 10);
  }
}

TEST(AdmitRows, OneValueThatIsNotFiniteLeavesAnUpdateOutWhereverItStands) {
  for (std::size_t parameters = 1; parameters <= 40; ++parameters) {
    for (std::size_t place = 0; place < parameters; ++place) {
      UpdateValues values(4, std::vector<float>(parameters, 1.0F));
      values[0][place] = kNan;
      values[1][place] = std::numeric_limits<float>::max();
      values[2][place] = place % 2 == 0 ? kInfinity : -kInfinity;
      const auto admitted = admit_rows(rows_of(values)).value();
      EXPECT_THAT(admitted.left_out, ElementsAre(0, 2));
      EXPECT_EQ(admitted.rows.size(), 2U);
    }
  }
}

TEST(AdmitRows, WhatCannotBeAggregatedIsRefusedInWords) {
  const UpdateValues two = {{1, 2}, {3, 4}};
  const auto message = [](const auto& result) { return result.error().message; };
  EXPECT_THAT(message(admit_rows({})), HasSubstr("no updates"));
  EXPECT_THAT(message(admit_rows(rows_of({{}, {}}))), HasSubstr("no updates"));
  EXPECT_THAT(message(admit_rows(rows_of({{1, 2}, {3}}))), HasSubstr("update 1 has 1 values"));
  EXPECT_THAT(message(admit_rows(rows_of(two), std::vector<double>{1})),
              HasSubstr("1 weights for 2 updates"));
  EXPECT_THAT(message(admit_rows(rows_of(two), std::vector<double>{1, -1})),
              HasSubstr("weight of update 1 is -1"));
  EXPECT_EQ(admit_rows(rows_of(two), std::vector<double>{0, 0}).error().code,
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(admit_rows(rows_of({{kNan}, {kInfinity}})).error().code,
            ErrorCode::kFailedPrecondition);
  // The only weight is that of a row that is left out.
  EXPECT_EQ(admit_rows(rows_of({{kNan}, {1}}), std::vector<double>{1, 0}).error().code,
            ErrorCode::kFailedPrecondition);
}

// --- Passes --------------------------------------------------------------------------------------

// Around the lengths of vectors (8, 16) and of blocks (1024), and numbers of rows around 4.
const std::vector<std::size_t> kLengths = {1, 7, 8, 9, 15, 16, 17, 31, 100, 1023, 1024, 1025, 2100};

TEST(AddWeighted, AddsOneRowAfterTheOther) {
  for (const std::size_t parameters : kLengths) {
    for (std::size_t clients = 1; clients <= 9; ++clients) {
      const UpdateValues values = random_updates(clients, parameters, parameters + clients);
      std::vector<double> weights, sum(parameters, 0.25), expected(parameters, 0.25);
      for (std::size_t row = 0; row < clients; ++row) {
        weights.push_back(1.0 / (3.0 + static_cast<double>(row)));
        for (std::size_t i = 0; i < parameters; ++i) {
          expected[i] += static_cast<double>(values[row][i]) * weights[row];
        }
      }
      add_weighted(rows_of(values), weights, sum);
      EXPECT_EQ(bits_of(sum), bits_of(expected)) << clients << " x " << parameters;
      std::vector<double> streamed(parameters, 0.25);
      for (std::size_t row = 0; row < clients; ++row) {
        add_weighted(rows_of({values[row]}), std::span(weights).subspan(row, 1), streamed);
      }
      EXPECT_EQ(bits_of(streamed), bits_of(expected)) << clients << " x " << parameters;
    }
  }
}

double distance_in_double(const std::vector<float>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return sum;
}

TEST(SquaredDistance, IsThatOfPlainArithmetic) {
  for (const std::size_t parameters : kLengths) {
    const UpdateValues values = random_updates(2, parameters, parameters);
    const std::vector<double> centre(values[1].begin(), values[1].end());
    const double expected = distance_in_double(values[0], centre);
    EXPECT_NEAR(squared_distance(values[0], centre), expected, 1e-13 * expected);
  }
}

TEST(SquaredDistances, AreWithinTheirBoundOfPlainArithmetic) {
  for (const std::size_t parameters : kLengths) {
    for (const std::size_t clients : {1U, 2U, 3U, 4U, 5U, 8U, 11U}) {
      const UpdateValues values = random_updates(clients, parameters, parameters * clients, 3.0F);
      const auto distances = squared_distances(rows_of(values));
      ASSERT_EQ(distances.size(), clients * clients);
      for (std::size_t i = 0; i < clients; ++i) {
        for (std::size_t j = 0; j < clients; ++j) {
          const std::vector<double> other(values[j].begin(), values[j].end());
          const double expected = distance_in_double(values[i], other);
          EXPECT_NEAR(distances[i * clients + j], expected, std::ldexp(expected, -17));
        }
      }
    }
  }
}

TEST(SquaredDistances, UpdatesThatAreAlmostTheSameKeepTheirDistance) {
  // |x|^2 is 1e12 here, and one float's step of that is 65536.
  UpdateValues values(2, std::vector<float>(1000, 31622.0F));
  values[1][500] += 0.125F;
  EXPECT_EQ(squared_distances(rows_of(values))[1], 0.015625);
}

// --- Sorting -------------------------------------------------------------------------------------

void expect_sorted(const UpdateValues& values) {
  ColumnSorter sorter(values.size());
  const std::size_t parameters = values.front().size();
  for (std::size_t first = 0; first < parameters; first += ColumnSorter::kColumns) {
    sorter.sort(rows_of(values), first);
    for (std::size_t i = 0; i < std::min(ColumnSorter::kColumns, parameters - first); ++i) {
      std::vector<float> expected = column_of(values, first + i);
      std::sort(expected.begin(), expected.end(), [](float a, float b) {
        return a < b || (a == b && std::signbit(a) && !std::signbit(b));
      });
      for (std::size_t rank = 0; rank < values.size(); ++rank) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(sorter.rank(rank)[i]),
                  std::bit_cast<std::uint32_t>(expected[rank]))
            << values.size() << " rows, column " << first + i;
      }
    }
  }
}

// A network that sorts every list of zeros and ones sorts every list (Knuth, TAOCP 5.3.4, theorem
// Z), so up to 13 rows this is a proof.
TEST(ColumnSorter, SortsEveryListOfZerosAndOnes) {
  for (std::size_t rows = 1; rows <= 13; ++rows) expect_sorted(every_list(rows, {0.0F, 1.0F}));
}

TEST(ColumnSorter, SortsAnyNumberOfRowsAndAnyFiniteValues) {
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  constexpr float kMost = std::numeric_limits<float>::max();
  for (const std::size_t rows : {1U, 2U, 3U, 31U, 32U, 33U, 64U, 100U, 127U, 128U, 129U, 1000U}) {
    UpdateValues values = random_updates(rows, 70, rows);
    const std::vector<float> special = {0.0F, -0.0F, kLeast, -kLeast, kMost, -kMost, 1.0F, 1.0F};
    for (std::size_t row = 0; row < rows; ++row) values[row][3] = special[row % special.size()];
    expect_sorted(values);
  }
}

} // namespace
} // namespace coppice
