// SPDX-License-Identifier: Apache-2.0
#include "formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseJson, keeps_values_and_the_order_of_keys) {
  const auto json =
      parse_json(std::string_view(R"({"z": [1, -2, 0.5, "é"], "a": {"t": true, "n": null}})"));
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(dump_json(*json), R"({"z":[1,-2,0.5,"é"],"a":{"t":true,"n":null}})");
}

TEST(ParseJson, refuses_a_key_that_one_object_holds_twice) {
  const auto json = parse_json(std::string_view(R"({"a": 1, "b": {"a": 2}, "a": 3})"));
  ASSERT_FALSE(json.ok());
  EXPECT_EQ(json.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(json.error().message, HasSubstr("\"a\" twice"));
  EXPECT_TRUE(parse_json(std::string_view(R"({"a": {"a": 1}, "b": {"a": 2}})")).ok());
}

TEST(ParseJson, nests_to_the_limit_and_no_deeper) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(64)).ok());
  EXPECT_EQ(parse_json(nested(65)).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(parse_json(std::string(1 << 20, '[')).error().code, ErrorCode::kTooLarge);
}

TEST(ParseJson, grows_to_its_limits_and_no_larger) {
  EXPECT_EQ(parse_json("[1, 2]", {.max_bytes = 5}).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(parse_json("[1, 2]", {.max_bytes = 6}).ok());
  EXPECT_EQ(parse_json("[1, 2]", {.max_values = 2}).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(parse_json("[1, 2]", {.max_values = 3}).ok());
}

TEST(ParseJson, refuses_what_is_not_json_and_says_where) {
  for (const std::string_view text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "1 2", "\"\xff\"",
                                      "[1e999]", "'a'", "// c\n1", "[NaN]"}) {
    const auto json = parse_json(text);
    ASSERT_FALSE(json.ok()) << text;
    EXPECT_EQ(json.error().code, ErrorCode::kCorrupt) << text;
  }
  EXPECT_THAT(parse_json(std::string_view("{\n\"a\": x}")).error().message, HasSubstr("line 2"));
}

class JsonFields : public testing::Test {
 protected:
  Json json_ = parse_json(std::string_view(
                              R"({"s": "x", "u": 18446744073709551615, "i": -3, "d": 0.5, "b": true,
                                  "n": null, "l": ["q", "v"], "o": {"k": 1}, "mixed": ["q", 1]})"))
                   .value();
};

TEST_F(JsonFields, are_given_by_type) {
  EXPECT_EQ(json_string(json_, "s").value(), "x");
  EXPECT_EQ(json_uint(json_, "u").value(), ~std::uint64_t{0});
  EXPECT_EQ(json_int(json_, "i").value(), -3);
  EXPECT_EQ(json_double(json_, "d").value(), 0.5);
  EXPECT_EQ(json_double(json_, "i").value(), -3.0);
  EXPECT_TRUE(json_bool(json_, "b").value());
  EXPECT_THAT(json_string_array(json_, "l").value(), ElementsAre("q", "v"));
  EXPECT_EQ(json_uint(*json_object(json_, "o").value(), "k", "o").value(), 1U);
  EXPECT_EQ(json_array(json_, "l").value()->size(), 2U);
}

TEST_F(JsonFields, of_another_type_or_range_are_errors_that_name_the_path) {
  EXPECT_EQ(json_uint(json_, "s", "lora").error().message,
            "field \"lora.s\" is string, expected a whole number, 0 or more");
  EXPECT_FALSE(json_uint(json_, "i").ok());
  EXPECT_FALSE(json_int(json_, "u").ok());
  EXPECT_FALSE(json_uint(json_, "d").ok());
  EXPECT_FALSE(json_bool(json_, "u").ok());
  EXPECT_FALSE(json_string_array(json_, "mixed").ok());
  EXPECT_FALSE(json_object(json_, "l").ok());
  EXPECT_EQ(json_string(json_, "none", "lora").error().message, "field \"lora.none\" is missing");
  EXPECT_EQ(json_string(json_, "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(json_string(Json(3), "k").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(JsonFields, that_may_be_missing_are_empty_or_right) {
  EXPECT_EQ(json_string_if(json_, "none").value(), std::nullopt);
  EXPECT_EQ(json_string_if(json_, "n").value(), std::nullopt);
  EXPECT_EQ(json_string_if(json_, "s").value(), "x");
  EXPECT_FALSE(json_string_if(json_, "u").ok());
  EXPECT_EQ(json_uint_if(json_, "none").value(), std::nullopt);
  EXPECT_EQ(json_int_if(json_, "i").value(), -3);
  EXPECT_EQ(json_double_if(json_, "d").value(), 0.5);
  EXPECT_EQ(json_bool_if(json_, "b").value(), true);
  EXPECT_THAT(json_string_array_if(json_, "l").value().value(), ElementsAre("q", "v"));
  EXPECT_FALSE(json_string_if(Json(3), "k").ok());
}

TEST(JsonMadeInMemory, gives_its_numbers_as_a_parsed_one_does) {
  Json json;
  json["signed"] = 5;
  EXPECT_EQ(json_uint(json, "signed").value(), 5U);
}

TEST(DumpJson, replaces_bytes_that_are_not_utf8) {
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\"");
}

} // namespace
} // namespace coppice
