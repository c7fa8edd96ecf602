// SPDX-License-Identifier: Apache-2.0
// The JSON files of LEAF (Caldas et al. 2018, arXiv 1812.01097), a user at a time:
//   {"users": [NAME...], "num_samples": [COUNT...], "user_data": {NAME: {"x": [...], "y": [...]}}}
//
// Memory is that of one user, whatever the file's size: the outer object is scanned for where its
// values begin and end, and each user's value is parsed by formats/json with its bounds. Keys in
// any order; other keys are passed over.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace coppice {

struct LeafSample {
  std::string text;
  std::string label; // empty unless asked for
};

struct LeafColumns {
  // Where x are lists, the place of the text in them: 4 in Sent140. -1: x are texts.
  int text_place = -1;
  // y is a class. Else a y of text goes on where its x ends: LEAF's Shakespeare has windows of 80
  // characters with the next one as y. Windows of which each is the one before, moved on by its y,
  // are put together again and cut at blanks into samples of at most 1 kB, so that no text comes
  // twice.
  bool label_is_y = false;
};

using TakeLeafUser =
    std::function<Result<void>(const std::string& user, const std::vector<LeafSample>& samples)>;

// Users in the order of user_data. kCorrupt for what is no LEAF file: the three keys missing, users
// twice, or users and counts that differ from user_data; kInvalidArgument where x and y aren't as
// `columns` says; kTooLarge for a user of over 256 MiB; and whatever `take` returns.
Result<void> read_leaf(std::string_view json, const LeafColumns& columns, const TakeLeafUser& take);

} // namespace coppice
