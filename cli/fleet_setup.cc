// SPDX-License-Identifier: Apache-2.0
#include "cli/fleet_setup.h"

#include "adapters/peft_adapter.h"
#include "aggregator/round_maker.h"
#include "aggregator/state_store.h"
#include "aggregator/version_zero.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret_random.h"
#include "model/base_model.h"

namespace coppice {
namespace {

Result<Adapter> first_adapter(const FleetInit& init, const BaseModel& base,
                              const LoraSettings& lora) {
  if (init.adapter) {
    return read_peft_adapter(*init.adapter, base.config().architecture, base.adaptable_modules());
  }
  AdapterSpec spec = COPPICE_TRY(
      base.make_spec(lora.r, lora.lora_alpha,
                     lora.use_rslora ? LoraScaling::kRankStabilized : LoraScaling::kStandard,
                     lora.target_modules));
  // The seed of A is nobody's secret: version 0 is published. The name of the base makes it
  // repeatable.
  return Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), 0);
}

} // namespace

Result<Settings> load_aggregator_settings(const fs::path& directory, const Environment& environment,
                                          std::span<const Override> flags) {
  return Settings::load(aggregator_keys(), directory / "aggregator.toml", environment, flags);
}

Result<FleetInitResult> init_fleet(const FleetInit& init) {
  const auto base = COPPICE_TRY(BaseModel::open(init.model));
  const Settings settings =
      COPPICE_TRY(Settings::load(aggregator_keys(), std::nullopt, Environment{}, init.overrides));
  const AggregatorSettings typed = COPPICE_TRY(aggregator_settings(settings));
  const Adapter adapter =
      COPPICE_TRY(version_zero(COPPICE_TRY(first_adapter(init, *base, typed.lora)), typed));

  FleetFacts facts;
  facts.base_hash = COPPICE_TRY(sha256_file(init.model));
  facts.base_bytes = base->file().bytes().size();
  facts.base_name = init.model.filename().string();
  const FleetFolder folder =
      COPPICE_TRY(FleetFolder::create(init.directory, facts, adapter.spec()));
  const std::string toml = COPPICE_TRY(write_commented_toml(aggregator_keys(), init.overrides));
  COPPICE_TRY(write_file_atomically(init.directory / "aggregator.toml", as_bytes(toml)));

  StateStore store = COPPICE_TRY(StateStore::open(init.directory));
  const ReleaseInputs inputs{.facts = folder.facts(),
                             .epoch = store.epoch(),
                             .version = {},
                             .reason = ReleaseReason::kInitial,
                             .parent_hash = {},
                             .round = {},
                             .plan_hash = {},
                             .participants = 0,
                             .reverted_to = {},
                             .created = SystemClock().wall()};
  COPPICE_TRY(store.commit_initial(make_release(inputs, adapter, nullptr, folder.keys().signing)));
  return FleetInitResult{adapter.spec(), folder.facts(), inputs.version};
}

Result<std::vector<std::string>> make_invites(const FleetFolder& folder, ClientRegistry& registry,
                                              const InviteRequest& request, Millis now_wall) {
  const Millis expires = now_wall + request.expires_after;
  std::vector<std::string> invites;
  std::vector<TokenHash> tokens;
  for (std::uint32_t i = 0; i < request.count; ++i) {
    const Token token = Token::generate();
    tokens.push_back(token.hash());
    const Invite invite{.fleet = folder.fleet_key(),
                        .keys = folder.keys().signed_set,
                        .enroll_endpoint = request.endpoints.enroll,
                        .control_endpoint = request.endpoints.control,
                        .bulk_endpoint = request.endpoints.bulk,
                        .token = COPPICE_TRY(Token::from_span(token.span())),
                        .base_hash = folder.facts().base_hash,
                        .base_bytes = folder.facts().base_bytes,
                        .expires = expires};
    invites.push_back(encode_invite(invite));
  }
  COPPICE_TRY(registry.add_tokens(tokens, expires));
  return invites;
}

} // namespace coppice
