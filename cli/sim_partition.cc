// SPDX-License-Identifier: Apache-2.0
// `coppice sim partition`: who would get what, and how unequal that is.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/sim_data_options.h"
#include "cli/sim_scenario.h"
#include "cli/table.h"
#include "sim/data_skew.h"

namespace coppice {
namespace {

struct SimPartitionOptions {
  std::string scenario; // where given, source and partition come from it
  DataSettings data;
  std::string source = "people";
  std::string partition = "by-user";
  std::uint64_t devices = 0;
  std::uint64_t seed = 1;
  std::uint64_t clients = 10'000;
  bool show = false;
};

constexpr std::size_t kShownClients = 40;
constexpr std::size_t kShownLabels = 4;

std::string bytes_text(double bytes) { return human_bytes(bytes); }
std::string entropy_text(double bits) { return fixed(bits, 2); }

void add_quantiles(Table& table, const std::string& name, const Quantiles& of,
                   std::string (*text)(double)) {
  table.add_row({name, text(of.least), text(of.p10), text(of.median), text(of.p90), text(of.most)});
}

Json json_of(const Quantiles& of) {
  return {{"least", of.least},
          {"p10", of.p10},
          {"median", of.median},
          {"p90", of.p90},
          {"most", of.most}};
}

// "cooking 61 %, sailing 30 %, ...".
std::string largest_labels(const ClientSkew& client, const std::vector<std::string>& labels) {
  std::vector<std::size_t> order;
  for (std::size_t label = 0; label < labels.size(); ++label) {
    if (client.label_bytes[label] > 0) order.push_back(label);
  }
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return client.label_bytes[a] > client.label_bytes[b];
  });
  std::vector<std::string> parts;
  for (const std::size_t label : order) {
    if (parts.size() == kShownLabels) break;
    const double share =
        static_cast<double>(client.label_bytes[label]) / static_cast<double>(client.bytes);
    parts.push_back(cat(labels[label], " ", fixed(100 * share, 0), " %"));
  }
  return cat(join(parts, ", "), order.size() > kShownLabels ? ", ..." : "");
}

Json clients_json(const ClientData& data, const DataSkew& skew) {
  Json clients = Json::array();
  for (const ClientSkew& client : skew.looked_at) {
    clients.push_back({{"client", client.client},
                       {"name", data.name(client.client)},
                       {"seen", !data.unseen(client.client)},
                       {"bytes", client.bytes},
                       {"train_bytes", data.bytes(client.client)},
                       {"label_entropy", client.label_entropy},
                       {"label_bytes", client.label_bytes}});
  }
  return clients;
}

void print_clients(Console& console, const ClientData& data, const DataSkew& skew) {
  const std::vector<std::string> labels = data.labels();
  Table table({{"client", Align::kRight},
               {"name"},
               {"seen"},
               {"text", Align::kRight},
               {"label entropy", Align::kRight},
               {"labels"}});
  const std::size_t shown = std::min(kShownClients, skew.looked_at.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const ClientSkew& client = skew.looked_at[i * skew.looked_at.size() / shown];
    table.add_row({grouped(client.client), data.name(client.client),
                   data.unseen(client.client) ? "no" : "yes",
                   bytes_text(static_cast<double>(client.bytes)),
                   entropy_text(client.label_entropy), largest_labels(client, labels)});
  }
  console.write(table.render());
  console.print();
}

void report(Console& console, const SimPartitionOptions& options, const ClientData& data) {
  const DataSkew skew = measure_skew(data, options.clients);
  if (options.show && !console.json()) print_clients(console, data, skew);
  Table table({{"of a client"},
               {"least", Align::kRight},
               {"p10", Align::kRight},
               {"median", Align::kRight},
               {"p90", Align::kRight},
               {"most", Align::kRight}});
  add_quantiles(table, "text", skew.sizes, bytes_text);
  add_quantiles(table, "label entropy, bits", skew.label_entropy, entropy_text);
  console.write(table.render());
  console.print();
  console.print(cat(grouped(skew.clients), " clients, ", grouped(skew.unseen), " held out; ",
                    grouped(skew.looked_at.size()), " looked at, which have ",
                    bytes_text(static_cast<double>(skew.bytes)), " of text, ", grouped(skew.empty),
                    " of them none"));
  console.print(cat("Gini of sizes ", fixed(skew.size_gini, 3), "; label entropy: mean ",
                    entropy_text(skew.mean_label_entropy), " bits, of all together ",
                    entropy_text(skew.all_label_entropy)));
  Json json{{"source", options.source},
            {"partition", options.partition},
            {"seed", options.seed},
            {"clients", skew.clients},
            {"unseen", skew.unseen},
            {"looked_at", skew.looked_at.size()},
            {"empty", skew.empty},
            {"text_bytes", skew.bytes},
            {"sizes", json_of(skew.sizes)},
            {"size_gini", skew.size_gini},
            {"label_entropy", json_of(skew.label_entropy)},
            {"mean_label_entropy", skew.mean_label_entropy},
            {"all_label_entropy", skew.all_label_entropy},
            {"labels", data.labels()},
            {"label_bytes", skew.label_bytes},
            {"data_sha256", data.hash().hex()}};
  if (options.show && console.json()) json["by_client"] = clients_json(data, skew);
  console.finish("coppice.sim_partition.v1", json);
}

Result<ExitCode> sim_partition(Context& context, SimPartitionOptions options) {
  fs::path folder;
  if (options.scenario.empty()) {
    options.data.source = COPPICE_TRY(parse_source(options.source));
    options.data.partition = COPPICE_TRY(parse_partition(options.partition));
  } else {
    const auto loaded = COPPICE_TRY(load_scenario(options.scenario, {}, context.environment));
    folder = loaded.folder;
    options.data = loaded.scenario.data;
    options.devices = loaded.scenario.population.devices;
    options.seed = loaded.scenario.seed;
    options.source = source_name(options.data.source);
    options.partition = partition_name(options.data.partition);
  }
  const auto data =
      COPPICE_TRY(open_client_data(options.data, folder, options.devices, options.seed));
  report(context.console, options, *data);
  return ExitCode::kOk;
}

void add_partition_options(CommandOptions& command, SimPartitionOptions& options) {
  DataSettings& data = options.data;
  command
      .add_option("--partition", options.partition,
                  "by-user, iid, dirichlet, pathological, shards, quantity or drift")
      .type_name("NAME")
      .capture_default_str();
  command.add_option("--devices", options.devices, "Clients; 0: as many as the source has users");
  command.add_option("--seed", options.seed, "Of all draws").capture_default_str();
  command.add_option("--alpha", data.alpha, "Of dirichlet: small is unequal")
      .check(in_range(1e-6, 1e6))
      .capture_default_str();
  command.add_option("--labels-per-client", data.labels_per_client, "Of pathological")
      .capture_default_str();
  command.add_option("--shards-per-client", data.shards_per_client, "Of shards")
      .capture_default_str();
  command.add_option("--sigma", data.sigma, "Of quantity: sizes are log-normal")
      .check(in_range(0.0, 10.0))
      .capture_default_str();
  command.add_option("--bytes-each", data.bytes_each, "Text of one of the people")
      .capture_default_str();
  command.add_option("--held-out", data.held_out, "Share of the clients that never train")
      .check(in_range(0.0, 0.999))
      .capture_default_str();
}

} // namespace

void add_sim_partition_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimPartitionOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "partition",
       .summary = "Which text each virtual client would have, and how unequal their shares are",
       .example = "coppice sim partition --scenario scenario.toml --show\n"
                  "coppice sim partition --devices 1000 --partition dirichlet --alpha 0.3 --show\n"
                  "coppice sim partition --source tsv --path speeches.tsv --user-column "
                  "play,speaker --show"},
      [options](Context& at) { return sim_partition(at, *options); });
  command
      .add_option("--scenario", options->scenario,
                  "Take source, partition, clients and seed from it, and no other option here")
      .type_name("FILE");
  command.add_option("--source", options->source, "people (invented), folder, tsv or jsonl")
      .type_name("NAME")
      .capture_default_str();
  command.add_option("--path", options->data.path, "Of the source's file or folder")
      .type_name("PATH");
  add_column_options(command, options->data);
  add_partition_options(command, *options);
  command
      .add_option("--clients", options->clients,
                  "How many to look at, evenly spaced over all; 0: every one")
      .capture_default_str();
  command.add_flag("--show", options->show, "A row a client, too");
}

} // namespace coppice
