// SPDX-License-Identifier: Apache-2.0
#include "sim/partitions.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/text.h"
#include "sim/draws.h"

namespace coppice {
namespace {

using Share = std::vector<std::uint32_t>;

Share sorted(Share share) {
  std::ranges::sort(share);
  return share;
}

Share numbers_below(std::size_t count) {
  Share order(count);
  std::iota(order.begin(), order.end(), 0U);
  return order;
}

// part / whole of `count`, rounded down; part and count are below 2^32.
std::uint64_t cut(std::uint64_t count, std::uint64_t part, std::uint64_t whole) {
  return count * part / whole;
}

// Pieces by label, shuffled within each: label l has [first[l], first[l + 1]).
struct LabelOrder {
  Share pieces;
  std::vector<std::uint64_t> first;

  LabelOrder(const PoolShape& pool, std::uint64_t seed)
      : pieces(pool.label.size()), first(pool.labels + std::size_t{1}) {
    for (const std::uint16_t label : pool.label) ++first[label + std::size_t{1}];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<std::uint64_t> next = first;
    for (std::uint32_t piece = 0; piece < pool.label.size(); ++piece) {
      pieces[next[pool.label[piece]]++] = piece;
    }
    for (std::uint32_t label = 0; label < pool.labels; ++label) {
      KeyedRandom random = data_stream(seed, DataDraw::kOrder, label);
      random.shuffle(std::span(pieces).subspan(first[label], count(label)));
    }
  }
  std::uint64_t count(std::uint32_t label) const { return first[label + 1] - first[label]; }
  void take(std::uint32_t label, std::uint64_t begin, std::uint64_t end, Share& share) const {
    for (std::uint64_t at = begin; at < end; ++at) share.push_back(pieces[first[label] + at]);
  }
};

// Sums over the clients before each, of weights that are drawn client by client; kept for every
// 64th client and added up from there in the same order, so that the same bits come out.
class RunningSums {
 public:
  using Draw = std::function<std::vector<double>(std::uint64_t client)>; // one weight a column

  RunningSums(std::uint64_t clients, std::size_t columns, Draw draw)
      : draw_(std::move(draw)), sums_(columns) {
    for (std::uint64_t client = 0; client < clients; ++client) {
      if (client % kStride == 0) kept_.insert(kept_.end(), sums_.begin(), sums_.end());
      add(client, sums_);
    }
  }
  std::vector<double> before(std::uint64_t client) const {
    const std::uint64_t row = client / kStride;
    const auto begin = kept_.begin() + static_cast<std::ptrdiff_t>(row * sums_.size());
    std::vector<double> sums(begin, begin + static_cast<std::ptrdiff_t>(sums_.size()));
    for (std::uint64_t at = row * kStride; at < client; ++at) add(at, sums);
    return sums;
  }
  // With the client itself, from before(client).
  std::vector<double> after(std::uint64_t client, std::vector<double> before) const {
    add(client, before);
    return before;
  }
  const std::vector<double>& totals() const { return sums_; }

 private:
  static constexpr std::uint64_t kStride = 64;
  void add(std::uint64_t client, std::vector<double>& sums) const {
    const std::vector<double> weights = draw_(client);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += weights[i];
  }
  Draw draw_;
  std::vector<double> sums_; // over all clients
  std::vector<double> kept_; // (every 64th client, columns)
};

// All of them in their order, or as many as there are clients, drawn at random, in their order.
std::vector<std::uint32_t> users_of_clients(std::uint32_t users, std::uint64_t clients,
                                            std::uint64_t seed) {
  std::vector<std::uint32_t> drawn = numbers_below(users);
  if (clients == users) return drawn;
  KeyedRandom random = data_stream(seed, DataDraw::kUsers, 0);
  random.shuffle(std::span(drawn));
  drawn.resize(clients);
  return sorted(std::move(drawn));
}

class ByUser final : public DealtPool {
 public:
  ByUser(const PoolShape& pool, std::uint64_t clients, std::uint64_t seed)
      : pieces_(pool.user.size()), first_(pool.users + std::size_t{1}) {
    for (const std::uint32_t user : pool.user) ++first_[user + std::size_t{1}];
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    std::vector<std::uint64_t> next = first_;
    for (std::uint32_t piece = 0; piece < pool.user.size(); ++piece) {
      pieces_[next[pool.user[piece]]++] = piece;
    }
    users_ = users_of_clients(pool.users, clients, seed);
  }
  Share share(std::uint64_t client) const override {
    const std::uint32_t user = users_[client];
    const auto at = [&](std::uint64_t piece) {
      return pieces_.begin() + static_cast<std::ptrdiff_t>(piece);
    };
    return {at(first_[user]), at(first_[user + std::size_t{1}])};
  }

 private:
  Share pieces_; // by user
  std::vector<std::uint64_t> first_;
  std::vector<std::uint32_t> users_; // of each client
};

// The order's runs, one a client: of a shuffled order iid, of the source's own drift.
class Runs final : public DealtPool {
 public:
  Runs(Share order, std::uint64_t clients) : order_(std::move(order)), clients_(clients) {}
  Share share(std::uint64_t client) const override {
    const auto at = [&](std::uint64_t i) {
      return order_.begin() + static_cast<std::ptrdiff_t>(cut(order_.size(), i, clients_));
    };
    return sorted({at(client), at(client + 1)});
  }

 private:
  Share order_;
  std::uint64_t clients_;
};

class Quantity final : public DealtPool {
 public:
  Quantity(Share order, std::uint64_t clients, RunningSums::Draw weight)
      : order_(std::move(order)), sums_(clients, 1, std::move(weight)) {}
  Share share(std::uint64_t client) const override {
    const std::vector<double> before = sums_.before(client);
    return sorted({at(before), at(sums_.after(client, before))});
  }

 private:
  Share::const_iterator at(const std::vector<double>& sum) const {
    const double part = sum[0] / sums_.totals()[0];
    return order_.begin() +
           static_cast<std::ptrdiff_t>(std::floor(part * static_cast<double>(order_.size())));
  }
  Share order_;
  RunningSums sums_;
};

class Dirichlet final : public DealtPool {
 public:
  Dirichlet(const PoolShape& pool, std::uint64_t clients, std::uint64_t seed, double alpha)
      : order_(pool, seed), sums_(clients, pool.labels, mixtures(pool, order_, seed, alpha)) {
    for (std::uint32_t label = 0; label < pool.labels; ++label) {
      each_ = std::min(each_, static_cast<double>(order_.count(label)) / sums_.totals()[label]);
    }
  }
  Share share(std::uint64_t client) const override {
    const std::vector<double> before = sums_.before(client);
    const std::vector<double> after = sums_.after(client, before);
    Share share;
    for (std::uint32_t label = 0; label < before.size(); ++label) {
      order_.take(label, at(label, before[label]), at(label, after[label]), share);
    }
    return sorted(std::move(share));
  }

 private:
  static RunningSums::Draw mixtures(const PoolShape& pool, const LabelOrder& order,
                                    std::uint64_t seed, double alpha) {
    std::vector<double> alphas;
    for (std::uint32_t label = 0; label < pool.labels; ++label) {
      const double common =
          static_cast<double>(order.count(label)) / static_cast<double>(pool.label.size());
      alphas.push_back(alpha * pool.labels * common);
    }
    return [alphas = std::move(alphas), seed](std::uint64_t client) {
      KeyedRandom random = data_stream(seed, DataDraw::kMixture, client);
      return draw_dirichlet(random, alphas);
    };
  }
  // Rounding up of each_ must not reach beyond the label's last piece.
  std::uint64_t at(std::uint32_t label, double sum) const {
    return std::min(static_cast<std::uint64_t>(std::floor(each_ * sum)), order_.count(label));
  }
  LabelOrder order_;
  RunningSums sums_;
  double each_ = std::numeric_limits<double>::infinity(); // pieces a client
};

// Labels in the order in which a block of `labels` clients takes them: the client at offset o of
// its block has those at o, o + 1, ... of the deck, around its end.
std::vector<std::uint32_t> label_deck(std::uint64_t seed, std::uint64_t block,
                                      std::uint32_t labels) {
  std::vector<std::uint32_t> deck = numbers_below(labels);
  KeyedRandom random = data_stream(seed, DataDraw::kLabels, block);
  random.shuffle(std::span(deck));
  return deck;
}

class Pathological final : public DealtPool {
 public:
  Pathological(const PoolShape& pool, std::uint64_t clients, std::uint64_t seed, std::uint32_t each)
      : order_(pool, seed), clients_(clients), seed_(seed), labels_(pool.labels), each_(each) {}
  Share share(std::uint64_t client) const override {
    const auto mine = label_deck(seed_, client / labels_, labels_);
    const auto last = label_deck(seed_, clients_ / labels_, labels_);
    Share share;
    for (const std::uint32_t label : pathological_labels(seed_, client, labels_, each_)) {
      const std::uint64_t holders = holders_before(clients_, last, label);
      const std::uint64_t rank = holders_before(client, mine, label);
      const std::uint64_t count = order_.count(label);
      order_.take(label, cut(count, rank, holders), cut(count, rank + 1, holders), share);
    }
    return sorted(std::move(share));
  }

 private:
  // How many of the clients before `client` have `label`; `deck` is of its block.
  std::uint64_t holders_before(std::uint64_t client, const std::vector<std::uint32_t>& deck,
                               std::uint32_t label) const {
    const auto place = static_cast<std::uint64_t>(std::ranges::find(deck, label) - deck.begin());
    std::uint64_t holders = client / labels_ * each_;
    for (std::uint64_t offset = 0; offset < client % labels_; ++offset) {
      if ((place + labels_ - offset) % labels_ < each_) ++holders;
    }
    return holders;
  }
  LabelOrder order_;
  std::uint64_t clients_;
  std::uint64_t seed_;
  std::uint32_t labels_;
  std::uint32_t each_;
};

class Shards final : public DealtPool {
 public:
  Shards(const PoolShape& pool, std::uint64_t clients, std::uint64_t seed, std::uint32_t each)
      : order_(pool, seed), shards_(numbers_below(clients * each)), each_(each) {
    KeyedRandom random = data_stream(seed, DataDraw::kShards, 0);
    random.shuffle(std::span(shards_));
  }
  Share share(std::uint64_t client) const override {
    const Share& pieces = order_.pieces;
    Share share;
    for (std::uint64_t i = client * each_; i < (client + 1) * each_; ++i) {
      const std::uint64_t begin = cut(pieces.size(), shards_[i], shards_.size());
      const std::uint64_t end = cut(pieces.size(), shards_[i] + std::uint64_t{1}, shards_.size());
      for (std::uint64_t at = begin; at < end; ++at) share.push_back(pieces[at]);
    }
    return sorted(std::move(share));
  }

 private:
  LabelOrder order_;
  Share shards_; // a client's are next to each other
  std::uint64_t each_;
};

Error too_few(std::string_view what, std::uint64_t have, std::string_view want) {
  return {ErrorCode::kInvalidArgument, cat("the data has ", have, " ", what, ", not enough for ",
                                           want, "; lower population.devices or take more data")};
}

Result<void> check_labels(const DataSettings& settings, const PoolShape& pool) {
  if (pool.labels < 2) {
    return Error{ErrorCode::kInvalidArgument,
                 "data.partition goes by labels, and the data has fewer than two; name their "
                 "column in data.label_column"};
  }
  if (settings.partition == Partition::kPathological && settings.labels_per_client > pool.labels) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("data.labels_per_client is ", settings.labels_per_client, ", and there are ",
                     pool.labels, " labels")};
  }
  return {};
}

Result<void> check_partition(const DataSettings& settings, const PoolShape& pool,
                             std::uint64_t clients) {
  const std::uint64_t pieces = pool.user.size();
  switch (settings.partition) {
    case Partition::kByUser:
      if (pool.users < clients) return too_few("users", pool.users, cat(clients, " clients"));
      return {};
    case Partition::kDirichlet:
    case Partition::kPathological: COPPICE_TRY(check_labels(settings, pool)); break;
    case Partition::kShards:
      COPPICE_TRY(check_labels(settings, pool));
      if (pieces / settings.shards_per_client < clients) {
        return too_few("pieces", pieces,
                       cat(clients, " clients of ", settings.shards_per_client, " shards"));
      }
      return {};
    case Partition::kQuantity:
    case Partition::kIid:
    case Partition::kDrift: break;
  }
  if (pieces < clients) return too_few("pieces", pieces, cat(clients, " clients"));
  return {};
}

} // namespace

Result<void> check_partition_numbers(const DataSettings& settings) {
  const auto wrong = [](const char* message) {
    return Error{ErrorCode::kInvalidArgument, message};
  };
  if (!(settings.alpha >= 1e-6 && settings.alpha <= 1e6)) {
    return wrong("data.alpha must be from 1e-6 to 1e6");
  }
  if (!(settings.sigma >= 0 && settings.sigma <= 10)) {
    return wrong("data.sigma must be from 0 to 10");
  }
  if (settings.labels_per_client == 0) return wrong("data.labels_per_client must be at least 1");
  if (settings.shards_per_client == 0) return wrong("data.shards_per_client must be at least 1");
  return {};
}

KeyedRandom data_stream(std::uint64_t seed, DataDraw use, std::uint64_t client) {
  constexpr std::uint64_t kDataRound = 0xDA7A; // other uses of a simulation have other rounds
  return KeyedRandom({.experiment = seed,
                      .round = kDataRound,
                      .client = client,
                      .purpose = RandomPurpose::kSimulation,
                      .step = static_cast<std::uint64_t>(use)});
}

std::vector<std::uint32_t> pathological_labels(std::uint64_t seed, std::uint64_t client,
                                               std::uint32_t labels, std::uint32_t each) {
  std::vector<std::uint32_t> deck = label_deck(seed, client / labels, labels);
  std::ranges::rotate(deck, deck.begin() + static_cast<std::ptrdiff_t>(client % labels));
  deck.resize(each);
  return deck;
}

double quantity_weight(std::uint64_t seed, std::uint64_t client, double sigma) {
  KeyedRandom random = data_stream(seed, DataDraw::kSize, client);
  return portable_exp(sigma * draw_normal(random));
}

Result<std::unique_ptr<const DealtPool>> deal_pool(const DataSettings& settings,
                                                   const PoolShape& pool, std::uint64_t clients,
                                                   std::uint64_t seed) {
  using Dealt = std::unique_ptr<const DealtPool>;
  COPPICE_TRY(check_partition_numbers(settings));
  COPPICE_TRY(check_partition(settings, pool, clients));
  const auto shuffled = [&] {
    Share order = numbers_below(pool.user.size());
    KeyedRandom random = data_stream(seed, DataDraw::kOrder, 0);
    random.shuffle(std::span(order));
    return order;
  };
  switch (settings.partition) {
    case Partition::kByUser: return Dealt(std::make_unique<ByUser>(pool, clients, seed));
    case Partition::kIid: return Dealt(std::make_unique<Runs>(shuffled(), clients));
    case Partition::kDirichlet:
      return Dealt(std::make_unique<Dirichlet>(pool, clients, seed, settings.alpha));
    case Partition::kPathological:
      return Dealt(std::make_unique<Pathological>(pool, clients, seed, settings.labels_per_client));
    case Partition::kShards:
      return Dealt(std::make_unique<Shards>(pool, clients, seed, settings.shards_per_client));
    case Partition::kQuantity:
      return Dealt(std::make_unique<Quantity>(
          shuffled(), clients, [seed, sigma = settings.sigma](std::uint64_t client) {
            return std::vector<double>{quantity_weight(seed, client, sigma)};
          }));
    case Partition::kDrift:
      return Dealt(std::make_unique<Runs>(numbers_below(pool.user.size()), clients));
  }
  COPPICE_CHECK(false);
  return Error{ErrorCode::kInternal, "no such partition"};
}

} // namespace coppice
