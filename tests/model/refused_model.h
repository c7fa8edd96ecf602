// SPDX-License-Identifier: Apache-2.0
// What tests of files that are no model to read expect.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {

// That opening it fails with `code`, and that the message has `word` in it.
inline void expect_refused(const TinyModel& model, ErrorCode code, const std::string& word) {
  const TestFolder folder;
  const auto opened = model.open(folder.path());
  ASSERT_FALSE(opened.ok()) << word;
  EXPECT_EQ(opened.error().code, code) << opened.error().message;
  EXPECT_THAT(opened.error().message, testing::HasSubstr(word));
}

} // namespace coppice
