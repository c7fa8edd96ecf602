// SPDX-License-Identifier: Apache-2.0
// Every check of the GGUF reader, by a file that breaks just that one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "tests/formats/gguf_builder.h"

namespace coppice {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kHuge = ~std::uint64_t{0};
constexpr std::uint32_t kU32 = 4, kBool = 7, kString = 8, kArray = 9, kU64 = 10;

void expect_refused(const LyingGguf& lie, ErrorCode code, std::string_view words) {
  const Bytes bytes = lie.bytes();
  const auto file = GgufFile::parse(bytes, "bad.gguf");
  ASSERT_FALSE(file.ok()) << words;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_THAT(file.error().message, HasSubstr(std::string(words)));
  EXPECT_THAT(file.error().message, testing::StartsWith("bad.gguf"));
}

TEST(GgufHostile, the_honest_file_that_the_lies_start_from_is_read) {
  const Bytes bytes = LyingGguf{.entries = {gguf_entry("k", kU32, 7U)}, .tensors = {{}}}.bytes();
  const auto file = GgufFile::parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->get_uint("k").value(), 7U);
  EXPECT_EQ(file->tensors()[0].data.size(), 32U);
}

TEST(GgufHostile, other_magic_numbers_versions_and_byte_orders_say_what_to_do) {
  expect_refused({.magic = "ggjt"}, ErrorCode::kCorrupt, "is not a GGUF file");
  expect_refused({.version = 1}, ErrorCode::kUnsupported, "convert it to version 3");
  expect_refused({.version = 0}, ErrorCode::kUnsupported, "version 0");
  expect_refused({.version = 4}, ErrorCode::kUnsupported, "version 4");
  expect_refused({.version = 0x03000000}, ErrorCode::kUnsupported, "big-endian");
  expect_refused({.magic = "FUGG", .version = 0x03000000}, ErrorCode::kUnsupported, "big-endian");
}

TEST(GgufHostile, counts_that_the_file_cannot_hold_are_refused_before_memory_is_taken) {
  expect_refused({.extra_entries = kHuge}, ErrorCode::kCorrupt, "metadata entries");
  expect_refused({.extra_entries = 1000}, ErrorCode::kCorrupt, "metadata entries");
  expect_refused({.extra_tensors = kHuge}, ErrorCode::kCorrupt, "tensors");
  expect_refused({.extra_tensors = 1000}, ErrorCode::kCorrupt, "tensors");
}

TEST(GgufHostile, keys_and_strings_are_bounded_by_the_bytes_that_are_left) {
  ByteWriter long_key;
  long_key.put(kHuge);
  expect_refused({.entries = {long_key.bytes()}}, ErrorCode::kCorrupt, "a metadata key needs");
  expect_refused({.entries = {gguf_entry("", kU32, 7U)}}, ErrorCode::kCorrupt, "empty key");
  expect_refused({.entries = {gguf_entry(std::string(65536, 'k'), kU32, 7U)}}, ErrorCode::kTooLarge,
                 "at most 65535");
  expect_refused({.entries = {gguf_entry("k", kString, kHuge)}}, ErrorCode::kCorrupt,
                 "a metadata string needs");
}

TEST(GgufHostile, unknown_and_nested_types_are_refused) {
  expect_refused({.entries = {gguf_entry("k", 13)}}, ErrorCode::kCorrupt, "unknown type 13");
  expect_refused({.entries = {gguf_entry("k", kArray, 13U, std::uint64_t{0})}}, ErrorCode::kCorrupt,
                 "unknown type 13");
  expect_refused({.entries = {gguf_entry("k", kArray, kArray, std::uint64_t{1})}},
                 ErrorCode::kUnsupported, "array of arrays");
  expect_refused({.entries = {gguf_entry("k", kBool, std::uint8_t{2})}}, ErrorCode::kCorrupt,
                 "neither 0 nor 1");
  expect_refused({.entries = {gguf_entry("k", kArray, kBool, std::uint64_t{1}, std::uint8_t{2})}},
                 ErrorCode::kCorrupt, "neither 0 nor 1");
}

TEST(GgufHostile, array_lengths_whose_bytes_wrap_around_are_refused) {
  for (const std::uint64_t count : {kHuge, (kHuge >> 3U) + 2, std::uint64_t{1000}}) {
    expect_refused({.entries = {gguf_entry("k", kArray, kU64, count)}}, ErrorCode::kCorrupt,
                   "claims");
    expect_refused({.entries = {gguf_entry("k", kArray, kString, count)}}, ErrorCode::kCorrupt,
                   "claims");
  }
}

TEST(GgufHostile, duplicate_keys_and_names_are_refused) {
  expect_refused({.entries = {gguf_entry("k", kU32, 7U), gguf_entry("k", kU32, 8U)}},
                 ErrorCode::kCorrupt, "\"k\" twice");
  expect_refused({.tensors = {{}, {.offset = 32}}, .data_bytes = 64}, ErrorCode::kCorrupt,
                 "two tensors named \"t\"");
}

TEST(GgufHostile, alignments_must_be_a_power_of_two_from_8_to_a_mebibyte) {
  for (const std::uint32_t alignment : {0U, 1U, 4U, 12U, 33U, 1U << 21U, 0x80000001U}) {
    expect_refused({.entries = {gguf_entry("general.alignment", kU32, alignment)}},
                   ErrorCode::kCorrupt, "power of two");
  }
  expect_refused({.entries = {gguf_entry("general.alignment", kBool, std::uint8_t{1})}},
                 ErrorCode::kInvalidArgument, "unsigned integer");
}

TEST(GgufHostile, dimensions_are_one_to_four_and_their_products_fit) {
  expect_refused({.tensors = {{.dims = {}}}}, ErrorCode::kCorrupt, "0 dimensions");
  expect_refused({.tensors = {{.dims = {1, 1, 1, 1, 1}}}}, ErrorCode::kCorrupt, "5 dimensions");
  expect_refused({.tensors = {{.dims = {8, 0}}}}, ErrorCode::kCorrupt, "no elements");
  expect_refused({.tensors = {{.dims = {0}}}}, ErrorCode::kCorrupt, "no elements");
  const std::uint64_t root = std::uint64_t{1}
                             << 31U; // the product in bytes is 2^64, which wraps to 0
  expect_refused({.tensors = {{.dims = {root, root}}}}, ErrorCode::kCorrupt, "any file");
  expect_refused({.tensors = {{.dims = {kHuge}}}}, ErrorCode::kCorrupt, "any file");
  expect_refused({.tensors = {{.dims = {33}, .type = 2}}}, ErrorCode::kCorrupt,
                 "whole number of Q4_0");
}

TEST(GgufHostile, unknown_tensor_types_are_refused_by_number) {
  for (const std::uint32_t type : {4U, 5U, 31U, 36U, 1000U, ~0U}) {
    expect_refused({.tensors = {{.type = type}}}, ErrorCode::kUnsupported,
                   "tensor type " + std::to_string(type));
  }
}

TEST(GgufHostile, data_must_lie_aligned_inside_the_file_and_apart) {
  expect_refused({.tensors = {{.offset = 8}}}, ErrorCode::kCorrupt, "alignment");
  expect_refused({.tensors = {{.offset = 32}}}, ErrorCode::kCorrupt, "the file ends at");
  expect_refused({.tensors = {{.offset = kHuge - 31}}}, ErrorCode::kCorrupt, "the whole file has");
  expect_refused({.tensors = {{.dims = {9}}}}, ErrorCode::kCorrupt, "the file ends at");
  expect_refused({.tensors = {{}, {.name = "u"}}, .data_bytes = 64}, ErrorCode::kCorrupt,
                 "overlap");
  expect_refused({.tensors = {{.dims = {9}}, {.name = "u", .offset = 32}}, .data_bytes = 64},
                 ErrorCode::kCorrupt, "overlap");
}

TEST(GgufHostile, tensor_names_have_one_to_1024_bytes) {
  expect_refused({.tensors = {{.name = ""}}}, ErrorCode::kCorrupt, "no name");
  expect_refused({.tensors = {{.name = std::string(1025, 'n')}}}, ErrorCode::kTooLarge,
                 "at most 1024");
}

TEST(GgufHostile, names_are_shown_without_their_control_characters) {
  expect_refused({.tensors = {{.name = "\x1b[2J", .dims = {0}}}}, ErrorCode::kCorrupt, "\"?[2J\"");
}

TEST(GgufHostile, a_file_cut_anywhere_is_refused_and_says_to_fetch_it_again) {
  const Bytes data(32, 1); // a multiple of the alignment: each of the file's bytes counts
  GgufWriter writer = GgufWriter::create().value();
  ASSERT_TRUE(writer.add_metadata("s", std::string("text")).ok());
  ASSERT_TRUE(writer.add_metadata("a", std::vector<std::string>{"x", "", "yz"}).ok());
  ASSERT_TRUE(writer.add_metadata("f", 1.5F).ok());
  ASSERT_TRUE(
      writer.add_tensor("t", std::array<std::uint64_t, 2>{4, 2}, BlockType::kF32, data).ok());
  const Bytes whole = writer.to_bytes();
  ASSERT_TRUE(GgufFile::parse(whole).ok());
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const Bytes prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    const auto file = GgufFile::parse(prefix);
    ASSERT_FALSE(file.ok()) << cut;
    EXPECT_EQ(file.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(file.error().message, HasSubstr("download")) << cut;
  }
}

} // namespace
} // namespace coppice
