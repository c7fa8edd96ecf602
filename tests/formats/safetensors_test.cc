// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors_reader.h"
#include "formats/safetensors_writer.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes file_of(std::string_view header, std::size_t data_bytes) {
  ByteWriter out;
  out.put(std::uint64_t{header.size()});
  out.put_raw(as_bytes(header));
  out.put_raw(Bytes(data_bytes, 1));
  return std::move(out).take();
}

void expect_refused(std::string_view header, std::size_t data_bytes, std::string_view words,
                    ErrorCode code = ErrorCode::kCorrupt) {
  const Bytes bytes = file_of(header, data_bytes);
  const auto file = SafetensorsFile::parse(bytes, "bad.safetensors");
  ASSERT_FALSE(file.ok()) << header;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_THAT(file.error().message, testing::StartsWith("bad.safetensors: "));
  EXPECT_THAT(file.error().message, HasSubstr(std::string(words))) << header;
}

TEST(Safetensors, written_and_read_keeps_order_shapes_and_bytes) {
  const Bytes data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.add_metadata("format", "pt").ok());
  ASSERT_TRUE(writer.add_tensor("z", Dtype::kF32, std::array<std::uint64_t, 2>{1, 3}, data).ok());
  ASSERT_TRUE(
      writer.add_tensor("a \"quoted\"", Dtype::kBF16, std::array<std::uint64_t, 1>{6}, data).ok());
  ASSERT_TRUE(writer.add_tensor("none", Dtype::kF64, std::array<std::uint64_t, 2>{0, 7}, {}).ok());
  const Bytes bytes = writer.to_bytes().value();
  const auto file = SafetensorsFile::parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->metadata().front(), std::pair(std::string("format"), std::string("pt")));
  ASSERT_EQ(file->tensors().size(), 3U);
  EXPECT_EQ(file->tensors()[0].name, "z");
  EXPECT_THAT(file->tensors()[0].shape, ElementsAre(1U, 3U));
  EXPECT_EQ(file->tensors()[0].elements(), 3U);
  EXPECT_TRUE(std::ranges::equal(file->find_tensor("a \"quoted\"").value()->data, data));
  EXPECT_EQ(file->find_tensor("none").value()->elements(), 0U);
  EXPECT_EQ(file->find_tensor("b").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(file->has_tensor("b"));
}

TEST(Safetensors, header_is_laid_out_as_the_reference_lays_it_out) {
  const Bytes data(8);
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.add_metadata("format", "pt").ok());
  ASSERT_TRUE(writer.add_tensor("t", Dtype::kF32, std::array<std::uint64_t, 1>{2}, data).ok());
  const Bytes bytes = writer.to_bytes().value();
  const std::string_view header = as_text(ByteSpan(bytes).subspan(8, bytes.size() - 16));
  EXPECT_EQ(header, R"({"__metadata__":{"format":"pt"},)"
                    R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )");
  EXPECT_EQ(header.size() % 8, 0U);
}

TEST(Safetensors, a_file_on_disk_is_mapped) {
  const fs::path path = fs::path(testing::TempDir()) / "coppice_safetensors_test.safetensors";
  const Bytes data(6, 3);
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.add_tensor("t", Dtype::kF16, std::array<std::uint64_t, 1>{3}, data).ok());
  ASSERT_TRUE(writer.write_file(path).ok());
  EXPECT_EQ(read_file(path, 4096).value(), writer.to_bytes().value());
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(std::ranges::equal(file->tensors()[0].data, data));
  fs::remove(path);
}

TEST(Safetensors, gaps_overlaps_and_bytes_left_over_are_refused) {
  constexpr auto kOne = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_TRUE(SafetensorsFile::parse(file_of(kOne, 4)).ok());
  expect_refused(kOne, 5, "belong to no tensor");
  expect_refused(kOne, 3, "the data have 3");
  expect_refused(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})", 4, "neither gap");
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
                 5, "neither gap");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[4,0]}})", 4,
                 "the offsets 4 and 0");
}

TEST(Safetensors, sizes_must_be_the_product_of_the_shape_even_where_it_wraps) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs 8 bytes");
  expect_refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                 "any file");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                 "over 8 numbers");
  expect_refused(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
                 "a negative number");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "a fraction");
}

TEST(Safetensors, duplicate_names_and_fields_are_refused) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                 2, "two tensors named \"a\"");
  expect_refused(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
                 "\"dtype\" twice");
  expect_refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0, "\"k\" twice");
  expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "there twice");
}

TEST(Safetensors, headers_of_another_form_are_refused) {
  expect_refused("[]", 0, "not a JSON object");
  expect_refused("3", 0, "not a JSON object");
  expect_refused("{", 0, "not valid JSON");
  expect_refused("{} x", 0, "not valid JSON");
  expect_refused(R"({"a":1})", 0, "a number where it may not");
  expect_refused(R"({"a":{}})", 0, "lacks one of the fields");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "two data_offsets");
  expect_refused(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "an array");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", 1,
                 "unknown field \"more\"");
  expect_refused(R"({"__metadata__":{"k":1}})", 0, "a number");
  expect_refused(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", 1, "dtype \"F4\"",
                 ErrorCode::kUnsupported);
  expect_refused("{\"a\xff\":{}}", 0, "not valid JSON");
}

TEST(Safetensors, a_header_length_that_lies_is_refused) {
  ByteWriter huge;
  huge.put(std::uint64_t{100'000'001});
  EXPECT_EQ(SafetensorsFile::parse(huge.bytes()).error().code, ErrorCode::kTooLarge);
  ByteWriter past;
  past.put(std::uint64_t{100});
  past.put_raw(as_bytes("{}"));
  EXPECT_EQ(SafetensorsFile::parse(past.bytes()).error().code, ErrorCode::kCorrupt);
}

TEST(Safetensors, a_file_cut_anywhere_is_refused) {
  const Bytes data(6, 3);
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.add_metadata("k", "v").ok());
  ASSERT_TRUE(writer.add_tensor("t", Dtype::kF16, std::array<std::uint64_t, 1>{3}, data).ok());
  const Bytes whole = writer.to_bytes().value();
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const auto file = SafetensorsFile::parse(ByteSpan(whole).first(cut));
    ASSERT_FALSE(file.ok()) << cut;
    EXPECT_THAT(file.error().message, HasSubstr("download")) << cut;
  }
}

TEST(SafetensorsWriterErrors, twins_wrong_sizes_and_names_that_are_not_utf8_are_refused) {
  const Bytes data(4);
  const std::array<std::uint64_t, 1> shape{1};
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.add_tensor("t", Dtype::kF32, shape, data).ok());
  EXPECT_EQ(writer.add_tensor("t", Dtype::kF32, shape, data).error().code,
            ErrorCode::kAlreadyExists);
  EXPECT_FALSE(writer.add_tensor("u", Dtype::kF64, shape, data).ok());
  EXPECT_FALSE(writer.add_tensor("\xff", Dtype::kF32, shape, data).ok());
  EXPECT_FALSE(writer.add_tensor("__metadata__", Dtype::kF32, shape, data).ok());
  EXPECT_FALSE(writer.add_metadata("k", "\xff").ok());
}

TEST(Dtypes, have_the_sizes_that_their_names_say) {
  EXPECT_EQ(dtype_size(Dtype::kBool), 1U);
  EXPECT_EQ(dtype_size(Dtype::kF8E4M3), 1U);
  EXPECT_EQ(dtype_size(Dtype::kBF16), 2U);
  EXPECT_EQ(dtype_size(Dtype::kI32), 4U);
  EXPECT_EQ(dtype_size(Dtype::kU64), 8U);
  EXPECT_EQ(dtype_name(Dtype::kF8E5M2), "F8_E5M2");
}

} // namespace
} // namespace coppice
