// SPDX-License-Identifier: Apache-2.0
// One rank of the runs in ranks_test.cc: does what its first argument names and prints what came of
// it. Exit code 0: as it should be; 1: a result was wrong; 3: a call gave an error, which is
// printed.
#include <csignal>
#include <iostream>
#include <thread>

#include "base/text.h"
#include "sim/ranks.h"

namespace coppice {
namespace {

constexpr RanksOptions kOptions{.start = {20'000}, .wait = {20'000}, .silence = {1'500}};

int fail(const Error& error) {
  std::cout << error_code_name(error.code) << ": " << error.message << std::endl;
  return 3;
}

// Any 32 bits: the finalizer of MurmurHash3.
std::uint32_t value_of(std::uint32_t rank, std::uint32_t index) {
  std::uint32_t x = rank * 0x9E3779B9U + index + 1;
  x = (x ^ (x >> 16U)) * 0x85EBCA6BU;
  x = (x ^ (x >> 13U)) * 0xC2B2AE35U;
  return x ^ (x >> 16U);
}

Bytes letters(std::uint32_t rank) {
  return Bytes(3 * rank + 1, static_cast<std::uint8_t>('a' + rank));
}

bool all_right(bool right, const char* what) {
  if (!right) std::cout << "wrong: " << what << std::endl;
  return right;
}

Result<bool> exchange(Ranks& ranks) {
  const auto [rank, size, local] = ranks.place();
  std::vector<std::uint32_t> values(100'003);
  for (std::uint32_t i = 0; i < values.size(); ++i) values[i] = value_of(rank, i);
  COPPICE_TRY(ranks.sum(values));
  bool right = true;
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    std::uint32_t expected = 0; // wraps, as unsigned numbers do
    for (std::uint32_t r = 0; r < size; ++r) expected += value_of(r, i);
    right = right && values[i] == expected;
  }
  if (!all_right(right, "sum")) return false;
  std::vector<Bytes> expected;
  for (std::uint32_t r = 0; r < size; ++r) expected.push_back(letters(r));
  Bytes told = letters(rank);
  COPPICE_TRY(ranks.broadcast(told, size - 1));
  if (!all_right(told == letters(size - 1), "broadcast")) return false;
  Bytes nothing;
  COPPICE_TRY(ranks.broadcast(nothing, 0));
  if (!all_right(nothing.empty(), "empty broadcast")) return false;
  const auto gathered = COPPICE_TRY(ranks.gather(letters(rank), 0));
  if (!all_right(gathered == (rank == 0 ? expected : std::vector<Bytes>()), "gather")) return false;
  const auto all = COPPICE_TRY(ranks.all_gather(letters(rank)));
  if (!all_right(all == expected, "all_gather")) return false;
  if (!all_right(!ranks.broadcast(told, size).ok(), "a root that is none")) return false;
  COPPICE_TRY(ranks.barrier());
  return true;
}

Result<bool> act(const std::string& what, Ranks& ranks) {
  const std::uint32_t rank = ranks.place().rank;
  const bool last = rank + 1 == ranks.place().size;
  std::vector<std::uint32_t> values(1000, rank);
  if (what == "exchange") return exchange(ranks);
  if (what == "levels") {
    COPPICE_TRY(check_same_run(ranks, {.configuration = {},
                                       .base = {},
                                       .instruction_level = last ? "avx2" : "avx512",
                                       .program_version = "1.2.3"}));
  } else if (what == "die") {
    COPPICE_TRY(ranks.barrier());
    if (last) std::raise(SIGKILL);
    COPPICE_TRY(ranks.sum(values));
  } else if (what == "first-dies") {
    COPPICE_TRY(ranks.barrier());
    if (rank == 0) std::raise(SIGKILL);
    COPPICE_TRY(ranks.sum(values));
  } else if (what == "late") {
    COPPICE_TRY(ranks.barrier());
    if (last) std::this_thread::sleep_for(std::chrono::seconds(6));
    COPPICE_TRY(ranks.sum(values));
  } else if (what == "confused") {
    if (last) {
      COPPICE_TRY(ranks.barrier());
    } else {
      COPPICE_TRY(ranks.sum(values));
    }
  }
  return true;
}

int run(const std::string& what) {
  RanksOptions options = kOptions;
  if (what == "late") options.wait = {1'000};
  if (what == "alone") options.start = {1'000};
  auto ranks = open_ranks(options);
  if (!ranks) return fail(ranks.error());
  const auto done = act(what, **ranks);
  if (!done) return fail(done.error());
  std::cout << "rank " << (*ranks)->place().rank << " of " << (*ranks)->place().size << std::endl;
  return *done ? 0 : 1;
}

} // namespace
} // namespace coppice

int main(int count, char** arguments) { return coppice::run(count > 1 ? arguments[1] : ""); }
