// SPDX-License-Identifier: Apache-2.0
// What is thrown behind the border comes out as a status.
#include "capi/border.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace coppice {
namespace {

TEST(Border, ExceptionsBecomeStatuses) {
  EXPECT_EQ(COPPICE_RESOURCE_EXHAUSTED,
            at_border([]() -> Result<void> { throw std::bad_alloc(); }));
  EXPECT_STREQ("out of memory", coppice_last_error());
  EXPECT_EQ(COPPICE_INTERNAL,
            at_border([]() -> Result<void> { throw std::runtime_error("a reason"); }));
  EXPECT_STREQ("a reason", coppice_last_error());
  EXPECT_EQ(COPPICE_INTERNAL, at_border([]() -> Result<void> { throw 7; }));
}

TEST(Border, EveryErrorCodeHasTheStatusOfItsName) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    const Error error{static_cast<ErrorCode>(code), "why"};
    EXPECT_STREQ(error_code_name(error.code), coppice_status_name(failed(error)));
  }
}

TEST(Border, ASentenceThatIsTooLongIsCut) {
  failed(Error{ErrorCode::kIo, std::string(5000, 'x')});
  EXPECT_EQ(std::string(1023, 'x'), coppice_last_error());
}

TEST(Border, OptionsLargerThanTheLibraryKnowsAreReadAsFarAsItDoes) {
  struct Newer {
    coppice_model_options known;
    std::uint64_t unknown = 99;
  } newer{{.struct_size = sizeof(Newer), .threads = 3}};
  const auto read = read_options(&newer.known);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(3U, read->threads);
}

} // namespace
} // namespace coppice
