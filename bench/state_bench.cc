// SPDX-License-Identifier: Apache-2.0
// The aggregator's commits, on the disk of the temporary folder (TMPDIR chooses another): each one
// is a transaction that survives a loss of power where the disk keeps its word.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <string>

#include "aggregator/round.h"
#include "aggregator/state_store.h"
#include "base/file.h"

namespace coppice {
namespace {

constexpr std::size_t kParameters = 155'648;

class StateFolder {
 public:
  StateFolder() : path_((fs::temp_directory_path() / "coppice-bench-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~StateFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

ClientId numbered_client(std::uint64_t number) {
  ClientId id;
  for (std::size_t i = 0; i < sizeof(number); ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return id;
}

void commit_sum(benchmark::State& state) {
  const StateFolder folder;
  auto store = StateStore::open(folder.path()).value();
  RoundPlan plan;
  plan.round = RoundId{1};
  if (!store.commit_plan(SignedPlan{}, plan, {}, Millis{1}).ok()) {
    state.SkipWithError("the round can't be stored");
    return;
  }
  RunningSum sum;
  sum.elements.assign(kParameters, 7);
  sum.touched = {0};
  std::uint64_t client = 0;
  for (auto _ : state) {
    sum.uncommitted = {{numbered_client(++client), Sha256{}}};
    if (!store.commit_sum(plan.round, sum).ok()) state.SkipWithError("a commit failed");
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kParameters * sizeof(std::uint32_t)));
}
BENCHMARK(commit_sum)->Unit(benchmark::kMillisecond)->UseRealTime();

void small_commit(benchmark::State& state) { // a setting: what one durable commit costs at least
  const StateFolder folder;
  auto store = StateStore::open(folder.path()).value();
  std::uint64_t value = 0;
  for (auto _ : state) {
    if (!store.set("paused", std::to_string(++value)).ok()) state.SkipWithError("a commit failed");
  }
}
BENCHMARK(small_commit)->Unit(benchmark::kMillisecond)->UseRealTime();

void append_to_ledger(benchmark::State& state) { // a line a frame that leaves a device
  const StateFolder folder;
  auto file = AppendFile::open(folder.path() / "ledger").value();
  const Bytes line(300, 'x');
  for (auto _ : state) {
    if (!file.append(line).ok()) state.SkipWithError("an append failed");
  }
}
BENCHMARK(append_to_ledger)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace
} // namespace coppice
