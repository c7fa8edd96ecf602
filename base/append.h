// SPDX-License-Identifier: Apache-2.0
// One list after another, by moving: what state machines do with their actions.
#pragma once

#include <iterator>
#include <utility>
#include <vector>

namespace coppice {

template <typename T>
void append(std::vector<T>& to, std::vector<T> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

template <typename T>
std::vector<T> and_then(std::vector<T> first, std::vector<T> more) {
  append(first, std::move(more));
  return first;
}

} // namespace coppice
