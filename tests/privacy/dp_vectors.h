// SPDX-License-Identifier: Apache-2.0
// Published privacy figures that the accountants are held against; absent, those tests are skipped.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/file.h"
#include "formats/json.h"

namespace coppice {

// google/differential-privacy's dp_accounting 0.6.0, run on a grid of cases.
inline fs::path dp_reference_path() {
  return fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data" / "vectors" / "dp_reference.json";
}

#define COPPICE_NEEDS_DP_REFERENCE()                                                        \
  if (!::coppice::fs::exists(::coppice::dp_reference_path())) {                             \
    GTEST_SKIP() << "needs ../shared/data/vectors/dp_reference.json beside the repository"; \
  }

inline Json dp_reference(const char* table) {
  const auto bytes = read_file(dp_reference_path(), std::size_t{16} << 20U);
  EXPECT_TRUE(bytes.ok());
  if (!bytes.ok()) return Json::array();
  const auto json = parse_json(*bytes);
  EXPECT_TRUE(json.ok());
  return json.ok() ? json->at(table) : Json::array();
}

inline double number(const Json& row, const char* name) { return row.at(name).get<double>(); }

} // namespace coppice
