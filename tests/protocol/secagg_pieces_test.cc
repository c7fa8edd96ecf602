// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_pieces.h"

#include <gtest/gtest.h>

#include "protocol/secagg_masking.h"
#include "protocol/slot_packing.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

// A roster of two and a half pieces.
Roster long_roster() {
  Roster roster{.plan_hash = samples::hash(1), .attempt = 2, .entries = {}};
  roster.entries.resize(2 * limits::kChunkBytes / 80 + 1'000);
  for (std::size_t i = 0; i < roster.entries.size(); ++i) {
    roster.entries[i].client.bytes[0] = static_cast<std::uint8_t>(i);
  }
  return roster;
}

TEST(SecAggPieces, PutTogetherInOrderTheyAreTheMessage) {
  const Roster roster = long_roster();
  const auto pieces = cut_secagg(samples::hash(2), roster);
  ASSERT_EQ(pieces.size(), 3U);
  SecAggAssembler assembler;
  for (std::size_t i = 0; i < 2; ++i) EXPECT_FALSE(assembler.take(pieces[i]).value());
  const auto whole = assembler.take(pieces[2]).value();
  ASSERT_TRUE(whole);
  EXPECT_EQ(std::get<Roster>(*whole), roster);
}

TEST(SecAggPieces, OutOfOrderNothingIsKeptAndAFirstPieceBeginsAnew) {
  const auto pieces = cut_secagg(samples::hash(2), long_roster());
  SecAggAssembler assembler;
  EXPECT_FALSE(assembler.take(pieces[1]).ok()); // no beginning
  EXPECT_TRUE(assembler.take(pieces[0]).ok());
  EXPECT_FALSE(assembler.take(pieces[2]).ok()); // a gap
  EXPECT_FALSE(assembler.take(pieces[1]).ok());
  EXPECT_TRUE(assembler.take(pieces[0]).ok());
  EXPECT_TRUE(assembler.take(pieces[0]).ok()); // its sender starts over
  EXPECT_TRUE(assembler.take(pieces[1]).ok());
  EXPECT_TRUE(assembler.take(pieces[2]).value());
}

TEST(SecAggPieces, PiecesOfTwoPlansAreNoMessage) {
  const auto pieces = cut_secagg(samples::hash(2), long_roster());
  const auto other = cut_secagg(samples::hash(3), long_roster());
  SecAggAssembler assembler;
  EXPECT_TRUE(assembler.take(pieces[0]).ok());
  EXPECT_FALSE(assembler.take(other[1]).ok());
}

// Slots of 16 and 32 bits, as every plan has them.
TEST(SecAggMasking, AnyNumberOfThreadsGivesTheSameElementsAndTheOppositeSignTakesThemOff) {
  const std::vector<Slot> slots = samples::plan().slots;
  std::vector<SignedSeed> masks;
  std::vector<SignedSeed> opposite;
  for (std::uint8_t i = 0; i < 5; ++i) {
    std::array<std::uint8_t, 32> seed{};
    seed.fill(i);
    const bool add = i % 2 == 0;
    masks.push_back({Secret<32>::copy_of(seed), add ? MaskSign::kAdd : MaskSign::kSubtract});
    opposite.push_back({Secret<32>::copy_of(seed), add ? MaskSign::kSubtract : MaskSign::kAdd});
  }
  const std::vector<std::uint32_t> plain(samples::plan().ring_elements(), 7);
  std::vector<std::uint32_t> one = plain;
  apply_masks(slots, masks, one, 1);
  EXPECT_NE(one, plain);
  for (const unsigned threads : {2U, 3U, 7U}) {
    std::vector<std::uint32_t> several = plain;
    apply_masks(slots, masks, several, threads);
    EXPECT_EQ(several, one) << threads;
  }
  apply_masks(slots, opposite, one, 2);
  EXPECT_EQ(one, plain);
}

TEST(SlotPacking, PackedSlotsReadBackAndOtherLengthsAreCorrupt) {
  const std::vector<Slot> slots = samples::plan().slots;
  std::vector<std::uint32_t> elements(samples::plan().ring_elements());
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<std::uint32_t>(i);
  Bytes packed = pack_slots(slots, elements);
  EXPECT_EQ(packed.size(), packed_slots_size(slots));
  EXPECT_EQ(unpack_slots(slots, packed).value(), elements);
  packed.push_back(0);
  EXPECT_EQ(unpack_slots(slots, packed).error().code, ErrorCode::kCorrupt);
  packed.resize(packed.size() - 2);
  EXPECT_EQ(unpack_slots(slots, packed).error().code, ErrorCode::kCorrupt);
}

} // namespace
} // namespace coppice
