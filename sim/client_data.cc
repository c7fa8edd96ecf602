// SPDX-License-Identifier: Apache-2.0
#include "sim/client_data.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "sim/partitions.h"
#include "sim/people_clients.h"
#include "sim/text_pool.h"

namespace coppice {
namespace {

template <typename Kind>
struct NameRow {
  Kind kind;
  std::string_view name;
};
constexpr NameRow<DataSource> kSources[] = {
    {DataSource::kPeople, "people"},
    {DataSource::kFolder, "folder"},
    {DataSource::kTsv, "tsv"},
    {DataSource::kJsonl, "jsonl"},
};
constexpr NameRow<Partition> kPartitions[] = {
    {Partition::kByUser, "by-user"},      {Partition::kIid, "iid"},
    {Partition::kDirichlet, "dirichlet"}, {Partition::kPathological, "pathological"},
    {Partition::kShards, "shards"},       {Partition::kQuantity, "quantity"},
    {Partition::kDrift, "drift"},
};

constexpr NameRow<DataTask> kTasks[] = {
    {DataTask::kNone, "none"},
    {DataTask::kOutputCipher, "output-cipher"},
    {DataTask::kInputCipher, "input-cipher"},
    {DataTask::kFacts, "facts"},
    {DataTask::kStyles, "styles"},
};

template <typename Kind, std::size_t N>
std::string_view name_in(const NameRow<Kind> (&rows)[N], Kind kind) {
  const auto* const row = std::ranges::find(rows, kind, &NameRow<Kind>::kind);
  COPPICE_CHECK(row != std::end(rows));
  return row->name;
}

template <typename Kind, std::size_t N>
Result<Kind> parse_in(const NameRow<Kind> (&rows)[N], std::string_view name, const char* what) {
  const auto* const row = std::ranges::find(rows, name, &NameRow<Kind>::name);
  if (row != std::end(rows)) return row->kind;
  std::vector<std::string> names;
  for (const NameRow<Kind>& known : rows) names.emplace_back(known.name);
  return Error{ErrorCode::kInvalidArgument,
               cat("there is no ", what, " '", name, "'; there are ", join(names, ", "))};
}

class PoolClients final : public ClientData {
 public:
  PoolClients(const DataSettings& settings, std::unique_ptr<const TextPool> pool,
              std::unique_ptr<const DealtPool> dealt, std::uint64_t clients, std::uint64_t seed)
      : ClientData(settings.held_out, seed),
        settings_(settings),
        pool_(std::move(pool)),
        dealt_(std::move(dealt)),
        clients_(clients),
        seed_(seed) {}

  std::uint64_t clients() const override { return clients_; }
  std::string name(std::uint64_t client) const override {
    const PieceTable& table = pool_->table();
    if (settings_.partition != Partition::kByUser) return cat("client-", client);
    return table.users[table.user[dealt_->share(client).front()]];
  }
  Result<std::vector<Piece>> pieces(std::uint64_t client) const override {
    std::vector<Piece> pieces;
    for (const std::uint32_t number : dealt_->share(client)) {
      pieces.push_back(COPPICE_TRY(pool_->piece(number)));
    }
    return pieces;
  }
  std::uint64_t bytes(std::uint64_t client) const override {
    const PieceTable& table = pool_->table();
    std::uint64_t sum = 0;
    for (const std::uint32_t number : dealt_->share(client)) {
      if (table.split[number] == Split::kTrain) sum += table.text_bytes[number];
    }
    return sum;
  }
  std::vector<std::string> labels() const override { return pool_->table().labels; }
  std::vector<std::uint64_t> label_bytes(std::uint64_t client) const override {
    const PieceTable& table = pool_->table();
    std::vector<std::uint64_t> bytes(table.labels.size());
    for (const std::uint32_t number : dealt_->share(client)) {
      bytes[table.label[number]] += table.text_bytes[number];
    }
    return bytes;
  }
  Sha256 hash() const override {
    Sha256Hasher hasher;
    hasher.update(pool_->hash().span());
    for (const std::string& text :
         {std::string(source_name(settings_.source)), settings_.user_column, settings_.text_column,
          settings_.label_column, std::string(partition_name(settings_.partition))}) {
      hasher.update(as_bytes(text));
      hasher.update(as_bytes(std::string_view("\0", 1)));
    }
    const std::uint64_t numbers[] = {settings_.labels_per_client, settings_.shards_per_client,
                                     settings_.min_bytes, clients_, seed_};
    hasher.update(as_bytes(std::span<const std::uint64_t>(numbers)));
    const double reals[] = {settings_.alpha, settings_.sigma};
    hasher.update(as_bytes(std::span<const double>(reals)));
    return hasher.finish();
  }

 private:
  DataSettings settings_;
  std::unique_ptr<const TextPool> pool_;
  std::unique_ptr<const DealtPool> dealt_;
  std::uint64_t clients_;
  std::uint64_t seed_;
};

} // namespace

bool ClientData::unseen(std::uint64_t client) const {
  return data_stream(seed_, DataDraw::kHeldOut, client).uniform_double() < held_out_;
}

Result<std::unique_ptr<ClientData>> open_client_data(const DataSettings& settings,
                                                     const fs::path& base_folder,
                                                     std::uint64_t devices, std::uint64_t seed) {
  if (!(settings.held_out >= 0 && settings.held_out < 1)) {
    return Error{ErrorCode::kInvalidArgument, "data.held_out must be from 0 to below 1"};
  }
  if (settings.source != DataSource::kPeople && settings.task != DataTask::kNone) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("data.task = ", task_name(settings.task), " is what people are asked, and ",
                     "data.source is ", source_name(settings.source),
                     ": leave data.task out, or set data.source = people")};
  }
  if (settings.source == DataSource::kPeople) return open_people(settings, devices, seed);
  auto pool = COPPICE_TRY(open_text_pool(settings, base_folder));
  const PieceTable& table = pool->table();
  const std::uint64_t clients = devices > 0 ? devices : table.users.size();
  const PoolShape shape{.user = table.user,
                        .label = table.label,
                        .users = static_cast<std::uint32_t>(table.users.size()),
                        .labels = static_cast<std::uint32_t>(table.labels.size())};
  auto dealt = COPPICE_TRY(deal_pool(settings, shape, clients, seed));
  return std::unique_ptr<ClientData>(
      std::make_unique<PoolClients>(settings, std::move(pool), std::move(dealt), clients, seed));
}

std::string_view source_name(DataSource source) { return name_in(kSources, source); }
std::string_view partition_name(Partition partition) { return name_in(kPartitions, partition); }

std::string_view task_name(DataTask task) { return name_in(kTasks, task); }

Result<DataSource> parse_source(std::string_view name) {
  return parse_in(kSources, name, "source of data");
}
Result<Partition> parse_partition(std::string_view name) {
  return parse_in(kPartitions, name, "partition");
}
Result<DataTask> parse_task(std::string_view name) { return parse_in(kTasks, name, "task"); }

} // namespace coppice
