// SPDX-License-Identifier: Apache-2.0
// Figures, tables and event files of a run.
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "sim/csv_table.h"
#include "sim/event_file.h"
#include "sim/run_csv.h"
#include "sim/run_figures.h"
#include "sim/run_tensorboard.h"
#include "tests/sim/recorded_run.h"

namespace coppice {
namespace {

// By hand: place (n - 1) q of 1, 2, 4, 8, 16; q = 0.1 is place 0.4, q = 0.9 place 3.6.
TEST(RunFigures, QuantilesLieBetweenNeighbours) {
  const std::vector<double> values{1, 2, 4, 8, 16};
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 0.1), 1.4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.9), 12.8);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 16);
  EXPECT_DOUBLE_EQ(quantile(std::vector<double>{7}, 0.3), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

// Of 0 to 20, shuffled, with two that are no numbers: 21 values, so the worst decile is three.
TEST(RunFigures, DistributionsLeaveOutWhatIsNotFinite) {
  std::vector<double> values;
  for (int i = 0; i < 21; ++i) values.push_back(i * 8 % 21);
  values.push_back(NAN);
  values.push_back(INFINITY);
  const Distribution spread = distribution_of(values);
  EXPECT_EQ(spread.count, 21U);
  EXPECT_DOUBLE_EQ(spread.mean, 10);
  EXPECT_DOUBLE_EQ(spread.p10, 2);
  EXPECT_DOUBLE_EQ(spread.median, 10);
  EXPECT_DOUBLE_EQ(spread.p90, 18);
  EXPECT_DOUBLE_EQ(spread.worst_decile, 19);
  EXPECT_TRUE(std::isnan(distribution_of({NAN}).mean));
}

TEST(RunFigures, CountsWhoIsHarmedByWhatServesAndWhoWouldBe) {
  const std::vector<ClientEvent> clients{
      {.base = 2, .shared = 1.5, .served = "shared", .harmed = false},
      {.base = 2, .shared = 2.5, .served = "base", .harmed = false},
      {.base = 2, .shared = 1.9, .personal = 2.1, .served = "personal", .harmed = true}};
  const HarmShare harm = harm_of(clients);
  EXPECT_EQ(harm.clients, 3U);
  EXPECT_EQ(harm.harmed, 1U);
  EXPECT_EQ(harm.shared_worse, 1U);
  EXPECT_EQ(served_bits(clients[1]), 2);
  EXPECT_EQ(served_bits(clients[2]), 2.1);
}

TEST(RunFigures, FindsTheFirstEvaluationAtATarget) {
  std::vector<RunRecord> runs(2);
  const auto evaluate = [](RunRecord& run, std::uint64_t round, const char* adapter, double bits) {
    run.evaluations.push_back(
        {.round = round, .set = "global", .adapter = adapter, .bits_per_byte = bits});
  };
  evaluate(runs[0], 0, "base", 3);
  evaluate(runs[0], 5, "shared", 2.5);
  evaluate(runs[0], 10, "shared", 2);
  evaluate(runs[0], 15, "shared", 2.1);
  evaluate(runs[1], 5, "shared", 2.25);
  const auto shared = evaluations_of(runs[0], "global", "shared");
  EXPECT_EQ(first_at(shared, 2.3)->round, 10U);
  EXPECT_FALSE(first_at(shared, 1.9));
  // The worst of the bests, and half the way from the base.
  const auto levels = target_levels(runs);
  ASSERT_EQ(levels.size(), 2U);
  EXPECT_EQ(levels[0].bits_per_byte, 2.625);
  EXPECT_EQ(levels[1].bits_per_byte, 2.25);
}

// RFC 4180, section 2, and spreadsheets' formulas.
TEST(RunCsv, QuotesWhatNeedsIt) {
  EXPECT_EQ(csv_cell("plain words"), "plain words");
  EXPECT_EQ(csv_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_cell("say \"b\""), "\"say \"\"b\"\"\"");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
  EXPECT_EQ(csv_cell(""), "");
}

TEST(RunCsv, HasAHeadAndARowALineAndEmptyCellsForWhatIsNotKnown) {
  RunRecord run;
  run.evaluations.push_back(
      {.round = 5, .time_s = 0.1, .set = "global", .adapter = "shared", .bits_per_byte = NAN});
  EXPECT_EQ(evaluations_csv(run),
            "round,time_s,bytes_up,bytes_down,joules,epsilon,set,adapter,bits_per_byte,"
            "nats_per_token,tokens,token_accuracy,choice_accuracy,choice_accuracy_by_byte,"
            "exact_match,rouge_l\r\n"
            "5,0.1,0,0,0,,global,shared,,,0,,,,,\r\n");
  run.clients.push_back({.round = 5, .client = 3, .name = "Kit, \"K\"", .base = 1.0 / 3});
  EXPECT_NE(clients_csv(run).find("\r\n5,3,\"Kit, \"\"K\"\"\",,true,0,0,0.3333333333333333,"),
            std::string::npos);
  EXPECT_EQ(clients_csv({}), "");
}

TEST(RunCsv, GivesEachMetricAColumn) {
  const std::string table = rounds_csv(read_recorded({}));
  EXPECT_NE(table.find(",metrics.loss_before,metrics.loss_after,metrics.kept\r\n"),
            std::string::npos);
  // 40 rounds and the head; an abandoned round has no metrics.
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 41);
}

// RFC 3720, appendix B.4, and the check value of CRC-32C.
TEST(EventFile, SumsAsPublished) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c(Bytes(32, 0)), 0x8a9136aaU);
  EXPECT_EQ(crc32c(Bytes(32, 0xff)), 0x62a8ab43U);
  Bytes rising(32);
  std::iota(rising.begin(), rising.end(), std::uint8_t{0});
  EXPECT_EQ(crc32c(rising), 0x46dd794eU);
  EXPECT_EQ(crc32c(Bytes(rising.rbegin(), rising.rend())), 0x113fdb5cU);
  EXPECT_EQ(crc32c({}), 0U);
}

// What Python's tensorboard 2.21 writes for the same:
//   event_pb2.Event(wall_time=0, file_version="brain.Event:2") has no wall time on the wire, ours
//   says 0.0; event_pb2.Event(wall_time=1.5, step=300, summary=Summary(value=[Summary.Value(
//   tag="a", simple_value=0.5)])).SerializeToString() is the payload below.
TEST(EventFile, WritesRecordsOfEvents) {
  EventFile file;
  const std::size_t head = EventFile(file).take().size();
  file.add_scalar("a", 300, 1.5, 0.5);
  const Bytes bytes = std::move(file).take();
  ByteReader reader(ByteSpan(bytes).subspan(head));
  const auto length = reader.take<std::uint64_t>("length");
  ASSERT_TRUE(length.ok());
  EXPECT_EQ(*reader.take<std::uint32_t>("sum"), masked_crc32c(ByteSpan(bytes).subspan(head, 8)));
  const ByteSpan payload = *reader.take_raw(*length, "payload");
  EXPECT_EQ(to_hex(payload), "09000000000000f83f10ac022a0a0a080a0161150000003f");
  EXPECT_EQ(*reader.take<std::uint32_t>("sum"), masked_crc32c(payload));
  EXPECT_EQ(reader.left(), 0U);
}

TEST(EventFile, MarksItsVersionFirst) {
  const Bytes bytes = EventFile().take();
  ByteReader reader(bytes);
  EXPECT_EQ(*reader.take<std::uint64_t>("length"), bytes.size() - 16);
  EXPECT_EQ(as_text(ByteSpan(bytes).subspan(bytes.size() - 4 - 13, 13)), "brain.Event:2");
}

TEST(RunTensorBoard, HasARunForEachAxis) {
  const auto runs = tensorboard_runs(read_recorded({}));
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].folder, "by_round");
  for (const TensorBoardRun& run : runs) {
    // Records up to the end, each with its sums.
    ByteReader reader(run.events);
    std::size_t records = 0;
    while (reader.left() > 0) {
      const auto length = reader.take<std::uint64_t>("length");
      ASSERT_TRUE(length.ok());
      ASSERT_TRUE(reader.take<std::uint32_t>("sum").ok());
      const auto payload = reader.take_raw(*length, "payload");
      ASSERT_TRUE(payload.ok());
      ASSERT_EQ(*reader.take<std::uint32_t>("sum"), masked_crc32c(*payload));
      ++records;
    }
    EXPECT_GT(records, 40U * 10U);
    EXPECT_NE(as_text(run.events).find("global/bits_per_byte/shared"), std::string_view::npos);
  }
}

} // namespace
} // namespace coppice
