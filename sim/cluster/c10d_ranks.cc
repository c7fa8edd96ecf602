// SPDX-License-Identifier: Apache-2.0
#include "sim/cluster/c10d_ranks.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>

#include "base/text.h"
#include "sim/cluster/backend.h"
#include "sim/cluster/heartbeat.h"

namespace coppice::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using Store = c10::intrusive_ptr<c10d::Store>;
using Microseconds = std::chrono::microseconds;

constexpr Microseconds kShortestPause{20};
constexpr Microseconds kLongestPause{2000};

enum class Call : std::int64_t { kSum, kBroadcast, kGather, kAllGather, kBarrier };

const char* call_name(Call call) {
  switch (call) {
    case Call::kSum: return "sum";
    case Call::kBroadcast: return "broadcast";
    case Call::kGather: return "gather";
    case Call::kAllGather: return "all_gather";
    case Call::kBarrier: return "barrier";
  }
  return "unknown call";
}

// What a rank says before each call: so nobody waits for data that a peer never meant to send.
struct Header {
  Call call;
  std::int64_t count; // of values or bytes
  std::int64_t root;
};
constexpr std::int64_t kHeaderFields = 3;

std::string ranks_text(const std::vector<std::uint32_t>& ranks) {
  std::vector<std::string> names;
  for (const std::uint32_t rank : ranks) names.push_back(cat(rank));
  return (names.size() == 1 ? "rank " : "ranks ") + join(names, ", ");
}

class C10dRanks final : public Ranks {
 public:
  C10dRanks(const Rendezvous& rendezvous, const RanksOptions& options, const Store& store,
            Store heartbeat_store)
      : rendezvous_(rendezvous),
        options_(options),
        heartbeat_(std::move(heartbeat_store), rendezvous, options.silence),
        backend_(make_backend(store, rendezvous, options)) {}
  ~C10dRanks() override {
    // A call that never ended still holds the group's threads, and its destructor would wait for
    // them until their own timeout: such a group is left to the process's end.
    if (broken_) (void)backend_.group.release();
  }
  C10dRanks(const C10dRanks&) = delete;
  C10dRanks& operator=(const C10dRanks&) = delete;

  RankPlace place() const override { return rendezvous_.place; }
  Result<void> sum(std::span<std::uint32_t> values) override;
  Result<void> broadcast(Bytes& bytes, std::uint32_t root) override;
  Result<std::vector<Bytes>> gather(ByteSpan bytes, std::uint32_t root) override;
  Result<std::vector<Bytes>> all_gather(ByteSpan bytes) override;
  Result<void> barrier() override {
    return guarded([&]() -> Result<void> {
      COPPICE_TRY(agree({Call::kBarrier, 0, 0}));
      return {};
    });
  }

 private:
  // Runs a call, unless an earlier one failed; any failure is the last.
  template <typename Work>
  auto guarded(const Work& work) -> decltype(work());
  // All ranks' headers, checked to be of one call with one root. Returns their counts.
  Result<std::vector<std::int64_t>> agree(const Header& header);
  Result<void> finish(const c10::intrusive_ptr<c10d::Work>& work);
  Error failed(const std::string& reason);
  Error late();
  // Until the heartbeat knows whom we lost, or would know.
  std::optional<std::string> await_loss();

  Result<void> check_root(std::uint32_t root) const;
  // Bytes of each rank from the rows of a gathered (size, longest) tensor.
  static std::vector<Bytes> rows(const std::vector<at::Tensor>& gathered,
                                 const std::vector<std::int64_t>& counts);
  at::Tensor padded(ByteSpan bytes, std::int64_t longest) const;
  Result<std::int64_t> longest_of(const std::vector<std::int64_t>& counts) const;
  std::vector<at::Tensor> room_for_all(const at::Tensor& mine) const;

  const Rendezvous rendezvous_;
  const RanksOptions options_;
  Heartbeat heartbeat_;
  CollectiveBackend backend_;
  std::uint64_t calls_ = 0;
  const char* calling_ = "";
  std::optional<Error> broken_;
};

template <typename Work>
auto C10dRanks::guarded(const Work& work) -> decltype(work()) {
  if (broken_) return *broken_;
  try {
    at::set_num_threads(1);
    auto result = work();
    if (!result.ok() && result.error().code != ErrorCode::kInvalidArgument)
      broken_ = result.error();
    return result;
  } catch (const c10::Error& error) {
    broken_ = failed(error.what_without_backtrace());
  } catch (const std::exception& error) {
    broken_ = failed(error.what());
  }
  return *broken_;
}

std::optional<std::string> C10dRanks::await_loss() {
  const auto end = Clock::now() + std::chrono::milliseconds(options_.silence.count +
                                                            3 * heartbeat_.interval().count);
  std::optional<std::string> loss = heartbeat_.loss();
  while (!loss && Clock::now() < end) {
    std::this_thread::sleep_for(kLongestPause);
    loss = heartbeat_.loss();
  }
  // Who holds the store stays until the others know too.
  const bool holds = rendezvous_.place.rank == 0 && !rendezvous_.agent_store;
  while (loss && holds && !heartbeat_.all_told() && Clock::now() < end) {
    std::this_thread::sleep_for(kLongestPause);
  }
  return loss;
}

Error C10dRanks::failed(const std::string& reason) {
  if (const auto loss = await_loss()) {
    return {ErrorCode::kUnavailable, cat(*loss, ", in ", calling_, " number ", calls_,
                                         "; start the run again to go on from "
                                         "its last finished round")};
  }
  return {ErrorCode::kUnavailable,
          cat("a connection between ranks broke in ", calling_, " number ", calls_,
              ", though all "
              "of them are alive: ",
              reason)};
}

Error C10dRanks::late() {
  // Others may have begun the call since their last sign.
  std::this_thread::sleep_for(std::chrono::milliseconds(3 * heartbeat_.interval().count));
  if (const auto loss = heartbeat_.loss()) return failed(*loss);
  const auto behind = heartbeat_.behind(calls_);
  return {ErrorCode::kDeadlineExceeded,
          cat(behind.empty() ? "a rank" : ranks_text(behind), " did not come to ", calling_,
              " number ", calls_, " within ", options_.wait,
              "; give the run more time, or its ranks more equal work")};
}

Result<void> C10dRanks::finish(const c10::intrusive_ptr<c10d::Work>& work) {
  const auto end = Clock::now() + std::chrono::milliseconds(options_.wait.count);
  for (Microseconds pause = kShortestPause; !work->isCompleted();
       pause = std::min(2 * pause, kLongestPause)) {
    if (const auto loss = heartbeat_.loss()) return failed(*loss);
    if (Clock::now() > end) return late();
    std::this_thread::sleep_for(pause);
  }
  work->wait(); // throws what went wrong
  return {};
}

Result<std::vector<std::int64_t>> C10dRanks::agree(const Header& header) {
  heartbeat_.at_call(++calls_);
  calling_ = call_name(header.call);
  const at::Tensor mine = at::empty({kHeaderFields}, at::kLong);
  const std::array<std::int64_t, kHeaderFields> fields{static_cast<std::int64_t>(header.call),
                                                       header.count, header.root};
  std::ranges::copy(fields, mine.data_ptr<std::int64_t>());
  std::vector<at::Tensor> in{mine.to(backend_.device)};
  std::vector<std::vector<at::Tensor>> out{room_for_all(in[0])};
  COPPICE_TRY(finish(backend_.group->allgather(out, in)));
  std::vector<std::int64_t> counts;
  for (std::size_t rank = 0; rank < out[0].size(); ++rank) {
    const at::Tensor theirs = out[0][rank].cpu();
    const std::int64_t* const said = theirs.const_data_ptr<std::int64_t>();
    if (said[0] != fields[0] || said[2] != fields[2] ||
        (header.call == Call::kSum && said[1] != fields[1])) {
      return Error{ErrorCode::kInternal,
                   cat("rank ", rank, " is at ", call_name(static_cast<Call>(said[0])), " of ",
                       said[1], " with root ", said[2], ", rank ", rendezvous_.place.rank, " at ",
                       calling_, " of ", header.count, " with root ", header.root)};
    }
    counts.push_back(said[1]);
  }
  return counts;
}

std::vector<at::Tensor> C10dRanks::room_for_all(const at::Tensor& mine) const {
  std::vector<at::Tensor> all;
  for (std::uint32_t rank = 0; rank < rendezvous_.place.size; ++rank) {
    all.push_back(at::empty(mine.sizes(), mine.options()));
  }
  return all;
}

Result<void> C10dRanks::check_root(std::uint32_t root) const {
  if (root < rendezvous_.place.size) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("there is no rank ", root, " among ", rendezvous_.place.size)};
}

Result<std::int64_t> C10dRanks::longest_of(const std::vector<std::int64_t>& counts) const {
  const std::int64_t longest = *std::ranges::max_element(counts);
  if (std::ranges::any_of(counts, [](std::int64_t count) { return count < 0; }) ||
      static_cast<std::uint64_t>(longest) > kMaxRankBytes / rendezvous_.place.size) {
    return Error{ErrorCode::kTooLarge, cat("ranks can't exchange ", longest,
                                           " bytes each; the limit for all is ", kMaxRankBytes)};
  }
  return longest;
}

at::Tensor C10dRanks::padded(ByteSpan bytes, std::int64_t longest) const {
  const at::Tensor tensor = at::zeros({longest}, at::kByte);
  std::ranges::copy(bytes, tensor.data_ptr<std::uint8_t>());
  return tensor.to(backend_.device);
}

std::vector<Bytes> C10dRanks::rows(const std::vector<at::Tensor>& gathered,
                                   const std::vector<std::int64_t>& counts) {
  std::vector<Bytes> all;
  for (std::size_t rank = 0; rank < gathered.size(); ++rank) {
    const at::Tensor row = gathered[rank].cpu();
    const std::uint8_t* const data = row.const_data_ptr<std::uint8_t>();
    all.emplace_back(data, data + counts[rank]);
  }
  return all;
}

// Sums of 64-bit integers don't wrap for any number of ranks; the low 32 bits are the sum modulo
// 2^32.
Result<void> C10dRanks::sum(std::span<std::uint32_t> values) {
  return guarded([&]() -> Result<void> {
    COPPICE_TRY(agree({Call::kSum, static_cast<std::int64_t>(values.size()), 0}));
    if (values.empty()) return {};
    const at::Tensor wide = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
    std::ranges::copy(values, wide.data_ptr<std::int64_t>());
    std::vector<at::Tensor> tensors{wide.to(backend_.device)};
    COPPICE_TRY(finish(backend_.group->allreduce(tensors)));
    const at::Tensor sums = tensors[0].cpu();
    const std::int64_t* const from = sums.const_data_ptr<std::int64_t>();
    std::transform(from, from + values.size(), values.begin(),
                   [](std::int64_t sum) { return static_cast<std::uint32_t>(sum); });
    return {};
  });
}

Result<void> C10dRanks::broadcast(Bytes& bytes, std::uint32_t root) {
  return guarded([&]() -> Result<void> {
    COPPICE_TRY(check_root(root));
    const auto counts =
        COPPICE_TRY(agree({Call::kBroadcast, static_cast<std::int64_t>(bytes.size()), root}));
    const std::int64_t count = counts[root];
    if (static_cast<std::uint64_t>(count) > kMaxRankBytes) {
      return Error{ErrorCode::kTooLarge,
                   cat("a broadcast of ", count, " bytes is over the limit of ", kMaxRankBytes)};
    }
    if (count == 0) return bytes.clear(), Result<void>();
    if (rendezvous_.place.rank != root) bytes.assign(static_cast<std::size_t>(count), 0);
    std::vector<at::Tensor> tensors{padded(bytes, count)};
    COPPICE_TRY(finish(backend_.group->broadcast(
        tensors, c10d::BroadcastOptions{.rootRank = static_cast<std::int64_t>(root)})));
    bytes = std::move(rows(tensors, {count})[0]);
    return {};
  });
}

Result<std::vector<Bytes>> C10dRanks::gather(ByteSpan bytes, std::uint32_t root) {
  return guarded([&]() -> Result<std::vector<Bytes>> {
    COPPICE_TRY(check_root(root));
    const auto counts =
        COPPICE_TRY(agree({Call::kGather, static_cast<std::int64_t>(bytes.size()), root}));
    const std::int64_t longest = COPPICE_TRY(longest_of(counts));
    const bool here = rendezvous_.place.rank == root;
    if (longest == 0) return std::vector<Bytes>(here ? counts.size() : 0);
    std::vector<at::Tensor> in{padded(bytes, longest)};
    std::vector<std::vector<at::Tensor>> out;
    if (here) out.push_back(room_for_all(in[0]));
    COPPICE_TRY(finish(backend_.group->gather(
        out, in, c10d::GatherOptions{.rootRank = static_cast<std::int64_t>(root)})));
    return here ? rows(out[0], counts) : std::vector<Bytes>();
  });
}

Result<std::vector<Bytes>> C10dRanks::all_gather(ByteSpan bytes) {
  return guarded([&]() -> Result<std::vector<Bytes>> {
    const auto counts =
        COPPICE_TRY(agree({Call::kAllGather, static_cast<std::int64_t>(bytes.size()), 0}));
    const std::int64_t longest = COPPICE_TRY(longest_of(counts));
    if (longest == 0) return std::vector<Bytes>(counts.size());
    std::vector<at::Tensor> in{padded(bytes, longest)};
    std::vector<std::vector<at::Tensor>> out{room_for_all(in[0])};
    COPPICE_TRY(finish(backend_.group->allgather(out, in)));
    return rows(out[0], counts);
  });
}

// One connection to the store that all ranks meet at. Throws what c10d throws.
Store connect(const Rendezvous& rendezvous, const RanksOptions& options, bool hold) {
  c10d::TCPStoreOptions settings;
  settings.port = rendezvous.port;
  settings.isServer = hold && rendezvous.place.rank == 0 && !rendezvous.agent_store;
  settings.waitWorkers = false;
  settings.timeout = std::chrono::milliseconds(options.start.count);
  return c10::make_intrusive<c10d::PrefixStore>(
      cat("coppice/", rendezvous.attempt),
      c10::make_intrusive<c10d::TCPStore>(rendezvous.address, settings));
}

Result<void> wait_for_all(c10d::Store& store, const Rendezvous& rendezvous,
                          const RanksOptions& options) {
  const auto here = [](std::uint32_t rank) { return cat("here/", rank); };
  Heartbeat::announce(store, rendezvous.place.rank);
  store.set(here(rendezvous.place.rank), "1");
  const auto end = Clock::now() + std::chrono::milliseconds(options.start.count);
  std::vector<std::uint32_t> missing(rendezvous.place.size);
  for (std::uint32_t rank = 0; rank < missing.size(); ++rank) missing[rank] = rank;
  while (true) {
    std::erase_if(missing, [&](std::uint32_t rank) { return store.check({here(rank)}); });
    if (missing.empty()) return {};
    if (Clock::now() > end) {
      return Error{ErrorCode::kDeadlineExceeded,
                   cat(ranks_text(missing), " of ", rendezvous.place.size, " did not come to ",
                       rendezvous.address, ":", rendezvous.port, " within ", options.start,
                       "; see why they didn't start")};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// c10d warns of each connection that breaks, with a stack trace; the errors here say it once.
void quiet_c10d() {
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
  c10::initLogging();
}

Error no_meeting(const Rendezvous& rendezvous, const std::string& reason) {
  return {ErrorCode::kUnavailable,
          cat("rank ", rendezvous.place.rank, " of ", rendezvous.place.size,
              " can't meet the others at ", rendezvous.address, ":", rendezvous.port, " (",
              rendezvous.launcher, "): ", reason,
              "; see that rank 0 runs there, and set MASTER_PORT if another program has the port")};
}

} // namespace

Result<std::unique_ptr<Ranks>> open_c10d_ranks(const Rendezvous& rendezvous,
                                               const RanksOptions& options) {
  try {
    quiet_c10d();
    const Store store = connect(rendezvous, options, true);
    COPPICE_TRY(wait_for_all(*store, rendezvous, options));
    return std::unique_ptr<Ranks>(std::make_unique<C10dRanks>(rendezvous, options, store,
                                                              connect(rendezvous, options, false)));
  } catch (const c10::Error& error) {
    return no_meeting(rendezvous, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return no_meeting(rendezvous, error.what());
  }
}

} // namespace coppice::cluster
