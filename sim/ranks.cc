// SPDX-License-Identifier: Apache-2.0
#include "sim/ranks.h"

#include <array>
#include <cstdlib>

#include "base/module_file.h"
#include "base/text.h"
#include "sim/ranks_module.h"

namespace coppice {
namespace {

constexpr ModuleFile kModule{.file = "libcoppice_cluster.so",
                             .variable = "COPPICE_CLUSTER_MODULE",
                             .what = "the module for several processes",
                             .option = "COPPICE_CLUSTER"};
constexpr std::size_t kMaxIdentityText = 256;

class SingleRank final : public Ranks {
 public:
  RankPlace place() const override { return {}; }
  Result<void> sum(std::span<std::uint32_t> /*values*/) override { return {}; }
  Result<void> broadcast(Bytes& /*bytes*/, std::uint32_t root) override { return only(root); }
  Result<std::vector<Bytes>> gather(ByteSpan bytes, std::uint32_t root) override {
    COPPICE_TRY(only(root));
    return all_gather(bytes);
  }
  Result<std::vector<Bytes>> all_gather(ByteSpan bytes) override {
    return std::vector<Bytes>{Bytes(bytes.begin(), bytes.end())};
  }
  Result<void> barrier() override { return {}; }

 private:
  static Result<void> only(std::uint32_t root) {
    if (root == 0) return {};
    return Error{ErrorCode::kInvalidArgument, cat("there is no rank ", root, " among 1")};
  }
};

Result<void> check_options(const RanksOptions& options) {
  if (options.start.count > 0 && options.wait.count > 0 && options.silence.count > 0) return {};
  return Error{ErrorCode::kInvalidArgument, "the waits of ranks must be above 0"};
}

// What is compared: the words for it, and its value for the message.
struct Trait {
  const char* name;
  std::string value;
};
using Traits = std::array<Trait, 4>;

Traits traits_of(const RunIdentity& identity) {
  return {Trait{"instruction level", identity.instruction_level},
          Trait{"version of the program", identity.program_version},
          Trait{"base model (SHA-256)", identity.base.hex()},
          Trait{"configuration (SHA-256)", identity.configuration.hex()}};
}

Bytes encode(const Traits& traits) {
  ByteWriter writer;
  for (const Trait& trait : traits) {
    writer.put_text(std::string_view(trait.value).substr(0, kMaxIdentityText));
  }
  return std::move(writer).take();
}

Result<Traits> decode(ByteSpan bytes) {
  Traits traits = traits_of({});
  ByteReader reader(bytes);
  for (Trait& trait : traits)
    trait.value = COPPICE_TRY(reader.take_text(kMaxIdentityText, trait.name));
  COPPICE_TRY(reader.expect_end("a rank's identity"));
  return traits;
}

} // namespace

std::unique_ptr<Ranks> single_rank() { return std::make_unique<SingleRank>(); }

Result<std::unique_ptr<Ranks>> open_ranks(const RanksOptions& options) {
  COPPICE_TRY(check_options(options));
  const Rendezvous rendezvous =
      COPPICE_TRY(read_rendezvous([](const char* name) { return std::getenv(name); }));
  if (rendezvous.place.size == 1) return single_rank();
  auto* const open =
      reinterpret_cast<OpenClusterRanks*>(COPPICE_TRY(module_symbol(kModule, kClusterSymbol)));
  std::unique_ptr<Ranks> ranks;
  Error error{ErrorCode::kInternal, ""};
  if (!open(&rendezvous, &options, &ranks, &error)) return error;
  return ranks;
}

Result<void> check_same_run(Ranks& ranks, const RunIdentity& identity) {
  const std::vector<Bytes> all = COPPICE_TRY(ranks.all_gather(encode(traits_of(identity))));
  const Traits first = COPPICE_TRY(decode(all[0]));
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const Traits other = COPPICE_TRY(decode(all[rank]));
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (first[i].value == other[i].value) continue;
      return Error{ErrorCode::kFailedPrecondition,
                   cat("rank ", rank, " has another ", first[i].name,
                       " than rank 0: ", other[i].value, ", not ", first[i].value,
                       "; sums over both could not be repeated, so give all ranks the same")};
    }
  }
  return {};
}

} // namespace coppice
