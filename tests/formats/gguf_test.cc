// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes numbers(std::size_t bytes) {
  Bytes made(bytes);
  for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::uint8_t>(i * 7);
  return made;
}

Bytes sample() {
  static const Bytes q4 = numbers(36);
  static const Bytes f32 = numbers(20);
  GgufWriter writer = GgufWriter::create().value();
  writer.add_metadata("u8", std::uint8_t{200}).value();
  writer.add_metadata("i8", std::int8_t{-100}).value();
  writer.add_metadata("u16", std::uint16_t{60000}).value();
  writer.add_metadata("i16", std::int16_t{-30000}).value();
  writer.add_metadata("u32", std::uint32_t{4000000000U}).value();
  writer.add_metadata("i32", std::int32_t{-2000000000}).value();
  writer.add_metadata("u64", ~std::uint64_t{0}).value();
  writer.add_metadata("i64", std::numeric_limits<std::int64_t>::min()).value();
  writer.add_metadata("f32", 0.1F).value();
  writer.add_metadata("f64", 0.1).value();
  writer.add_metadata("bool", true).value();
  writer.add_metadata("string", std::string("a\0b", 3)).value();
  writer.add_metadata("strings", std::vector<std::string>{"<s>", "", "ä"}).value();
  writer.add_metadata("floats", std::vector<float>{1.0F, -2.5F}).value();
  writer.add_metadata("ints", std::vector<std::int32_t>{-1, 2}).value();
  writer.add_metadata("uints", std::vector<std::uint32_t>{1, 4000000000U}).value();
  writer.add_tensor("q", std::array<std::uint64_t, 2>{32, 2}, BlockType::kQ4_0, q4).value();
  writer.add_tensor("f", std::array<std::uint64_t, 1>{5}, BlockType::kF32, f32).value();
  return writer.to_bytes();
}

class Gguf : public testing::Test {
 protected:
  Bytes bytes_ = sample();
  GgufFile file_ = GgufFile::parse(bytes_, "sample.gguf").value();
};

TEST_F(Gguf, gives_every_integer_type_as_long_as_the_value_fits) {
  EXPECT_EQ(file_.get_uint("u8").value(), 200U);
  EXPECT_EQ(file_.get_int("i8").value(), -100);
  EXPECT_EQ(file_.get_uint("u16").value(), 60000U);
  EXPECT_EQ(file_.get_int("i16").value(), -30000);
  EXPECT_EQ(file_.get_uint("u32").value(), 4000000000U);
  EXPECT_EQ(file_.get_int("u32").value(), 4000000000);
  EXPECT_EQ(file_.get_int("i32").value(), -2000000000);
  EXPECT_EQ(file_.get_uint("u64").value(), ~std::uint64_t{0});
  EXPECT_EQ(file_.get_int("i64").value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_THAT(file_.get_uint("i8").error().message, HasSubstr("negative"));
  EXPECT_THAT(file_.get_int("u64").error().message, HasSubstr("2^63"));
}

TEST_F(Gguf, gives_numbers_bools_and_strings) {
  EXPECT_EQ(file_.get_float("f32").value(), static_cast<double>(0.1F));
  EXPECT_EQ(file_.get_float("f64").value(), 0.1);
  EXPECT_EQ(file_.get_float("i8").value(), -100.0);
  EXPECT_TRUE(file_.get_bool("bool").value());
  EXPECT_EQ(file_.get_string("string").value(), std::string_view("a\0b", 3));
}

TEST_F(Gguf, gives_arrays) {
  EXPECT_THAT(file_.get_strings("strings").value(), ElementsAre("<s>", "", "ä"));
  EXPECT_THAT(file_.get_floats("floats").value(), ElementsAre(1.0F, -2.5F));
  EXPECT_THAT(file_.get_ints("ints").value(), ElementsAre(-1, 2));
  EXPECT_THAT(file_.get_ints("uints").value(), ElementsAre(1, 4000000000));
}

TEST_F(Gguf, errors_name_the_file_the_key_and_both_types) {
  const auto error = file_.get_strings("floats").error();
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message,
            "sample.gguf: metadata \"floats\" is an array of f32, expected an array of strings");
  EXPECT_EQ(file_.get_bool("u8").error().message,
            "sample.gguf: metadata \"u8\" is of type u8, expected a bool");
  EXPECT_EQ(file_.get_uint("none").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(file_.get_uint("strings").ok());
  EXPECT_FALSE(file_.get_string("strings").ok());
  EXPECT_FALSE(file_.get_floats("f32").ok());
  EXPECT_FALSE(file_.get_ints("floats").ok());
  EXPECT_FALSE(file_.get_float("bool").ok());
}

TEST_F(Gguf, stand_ins_serve_for_missing_keys_only) {
  EXPECT_EQ(file_.get_uint_or("none", 5).value(), 5U);
  EXPECT_EQ(file_.get_uint_or("u8", 5).value(), 200U);
  EXPECT_FALSE(file_.get_uint_or("string", 5).ok());
  EXPECT_EQ(file_.get_string_or("none", "x").value(), "x");
  EXPECT_THAT(file_.get_floats_or("none", {3.0F}).value(), ElementsAre(3.0F));
  EXPECT_EQ(file_.get_float_or("none", 2.5).value(), 2.5);
  EXPECT_TRUE(file_.get_bool_or("none", true).value());
}

TEST_F(Gguf, holds_tensors_as_views_at_aligned_places) {
  const GgufTensor* const q = file_.find_tensor("q").value();
  EXPECT_EQ(q->type, BlockType::kQ4_0);
  EXPECT_THAT(q->dims, ElementsAre(32U, 2U));
  EXPECT_EQ(q->elements(), 64U);
  EXPECT_TRUE(std::ranges::equal(q->data, numbers(36)));
  const GgufTensor* const f = file_.find_tensor("f").value();
  EXPECT_TRUE(std::ranges::equal(f->data, numbers(20)));
  EXPECT_EQ(f->data.data() - q->data.data(), 64);
  EXPECT_TRUE(file_.has_tensor("f"));
  EXPECT_FALSE(file_.has_tensor("g"));
  EXPECT_THAT(file_.find_tensor("qq").error().message, HasSubstr("nearest name is \"q\""));
}

TEST_F(Gguf, copied_entry_by_entry_is_byte_equal) {
  GgufWriter writer = GgufWriter::create().value();
  for (std::size_t i = 0; i < file_.metadata_count(); ++i) {
    const GgufEntry entry = file_.metadata_at(i);
    ASSERT_TRUE(writer.add_metadata(entry.key, entry.value).ok());
  }
  for (const GgufTensor& tensor : file_.tensors()) {
    ASSERT_TRUE(writer.add_tensor(tensor.name, tensor.dims, tensor.type, tensor.data).ok());
  }
  EXPECT_EQ(writer.to_bytes(), bytes_);
}

TEST_F(Gguf, written_to_disk_is_the_same_as_in_memory) {
  const fs::path path = fs::path(testing::TempDir()) / "coppice_gguf_test.gguf";
  const Bytes data = numbers(44);
  GgufWriter writer = GgufWriter::create(64).value();
  ASSERT_TRUE(writer.add_tensor("t", std::array<std::uint64_t, 1>{11}, BlockType::kF32, data).ok());
  ASSERT_TRUE(writer.add_tensor("u", std::array<std::uint64_t, 1>{22}, BlockType::kF16, data).ok());
  ASSERT_TRUE(writer.write_file(path).ok());
  EXPECT_EQ(read_file(path, 1 << 20).value(), writer.to_bytes());
  const GgufFile file = GgufFile::open(path).value();
  EXPECT_EQ(file.alignment(), 64U);
  EXPECT_EQ(file.get_uint("general.alignment").value(), 64U);
  EXPECT_TRUE(std::ranges::equal(file.tensors()[1].data, data));
  fs::remove(path);
}

TEST(GgufWriterErrors, twins_wrong_sizes_and_wrong_alignments_are_refused) {
  const Bytes data(32);
  GgufWriter writer = GgufWriter::create().value();
  ASSERT_TRUE(writer.add_metadata("k", true).ok());
  EXPECT_EQ(writer.add_metadata("k", false).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(writer.add_metadata("", false).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(writer.add_metadata("general.alignment", std::uint32_t{64}).ok());
  EXPECT_TRUE(writer.add_metadata("general.alignment", std::uint32_t{32}).ok());
  const std::array<std::uint64_t, 1> dims{8};
  ASSERT_TRUE(writer.add_tensor("t", dims, BlockType::kF32, data).ok());
  EXPECT_EQ(writer.add_tensor("t", dims, BlockType::kF32, data).error().code,
            ErrorCode::kAlreadyExists);
  EXPECT_THAT(writer.add_tensor("u", dims, BlockType::kF16, data).error().message,
              HasSubstr("takes 16 bytes as F16, and 32 were given"));
  EXPECT_FALSE(writer.add_tensor("", dims, BlockType::kF32, data).ok());
  EXPECT_FALSE(GgufWriter::create(24).ok());
}

TEST(BlockTypes, are_named_sized_and_found_both_ways) {
  for (const BlockTypeInfo& info : block_types()) {
    EXPECT_EQ(block_type_from_id(static_cast<std::uint32_t>(info.type)).value(), info.type);
    EXPECT_EQ(block_type_from_name(info.name).value(), info.type);
    const std::array<std::uint64_t, 2> dims{info.block_elements * 3U, 5};
    EXPECT_EQ(encoded_size(info.type, dims).value(), info.block_bytes * 15U) << info.name;
  }
  EXPECT_EQ(block_type_from_name("q4_k").value(), BlockType::kQ4_K);
  EXPECT_EQ(block_type_from_name("I2_S").error().code, ErrorCode::kUnsupported);
}

} // namespace
} // namespace coppice
