// SPDX-License-Identifier: Apache-2.0
// JSON: what parses is printed, and parses again to the same document.
#include "base/check.h"
#include "formats/json.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

// An item of an array takes 16 bytes, of an object 48, where their text may take two and six; the
// vectors that hold them double as they grow.
constexpr std::size_t kBytesATextByte = 16;

void ask(const Json& object) {
  for (const auto& [key, value] : object.items()) {
    COPPICE_CHECK(json_field(object, key).ok());
    const int answers = int{json_string(object, key).ok()} + int{json_bool(object, key).ok()} +
                        int{json_double(object, key).ok()} + int{json_object(object, key).ok()} +
                        int{json_array(object, key).ok()};
    COPPICE_CHECK(answers == (value.is_null() ? 0 : 1));
    COPPICE_CHECK(!json_uint(object, key).ok() || json_double(object, key).ok());
    COPPICE_CHECK(json_string_array_if(object, key).ok() || !value.is_null());
  }
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {
      text(R"({"r": 8, "lora_alpha": 16.5, "target_modules": ["q_proj", "v_proj"], "bias": null})"),
      text(R"([true, false, null, -1, 1e300, 18446744073709551615, "\u00e9\ud83c\udf31\n"])"),
      text(R"({"a": {"a": {"a": [[[[]]], {}]}}, "": ""})"), text("  \"x\"  ")};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  std::optional<Json> json;
  {
    const AllocationLimit limit(kBytesATextByte * size + AllocationLimit::kSlack);
    auto parsed = parse_json(ByteSpan(data, size));
    if (!parsed) return 0;
    json = *std::move(parsed);
  }
  if (json->is_object()) ask(*json);
  const auto again = parse_json(dump_json(*json));
  COPPICE_CHECK(again.ok() && *again == *json);
  return 0;
}
