// SPDX-License-Identifier: Apache-2.0
// The makers of the table's strategies; each is in the file of its name or family.
#pragma once

#include "aggregator/strategy.h"

namespace coppice {

std::unique_ptr<Strategy> bulyan_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> centered_clip_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> fedadagrad(const StrategySettings& settings);
std::unique_ptr<Strategy> fedadam(const StrategySettings& settings);
std::unique_ptr<Strategy> fedavg(const StrategySettings& settings);
std::unique_ptr<Strategy> fedavgm(const StrategySettings& settings);
std::unique_ptr<Strategy> fedbuff(const StrategySettings& settings);
std::unique_ptr<Strategy> feddyn(const StrategySettings& settings);
std::unique_ptr<Strategy> fedex(const StrategySettings& settings);
std::unique_ptr<Strategy> fednova(const StrategySettings& settings);
std::unique_ptr<Strategy> fedprox(const StrategySettings& settings);
std::unique_ptr<Strategy> fedsa(const StrategySettings& settings);
std::unique_ptr<Strategy> fedsb(const StrategySettings& settings);
std::unique_ptr<Strategy> fedyogi(const StrategySettings& settings);
std::unique_ptr<Strategy> ffa(const StrategySettings& settings);
std::unique_ptr<Strategy> flexlora(const StrategySettings& settings);
std::unique_ptr<Strategy> flora(const StrategySettings& settings);
std::unique_ptr<Strategy> hetlora(const StrategySettings& settings);
std::unique_ptr<Strategy> ifca(const StrategySettings& settings);
std::unique_ptr<Strategy> krum_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> median(const StrategySettings& settings);
std::unique_ptr<Strategy> multi_krum_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> norm_bound_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> qfedavg(const StrategySettings& settings);
std::unique_ptr<Strategy> rfa_strategy(const StrategySettings& settings);
std::unique_ptr<Strategy> rolora(const StrategySettings& settings);
std::unique_ptr<Strategy> scaffold(const StrategySettings& settings);
std::unique_ptr<Strategy> share_b(const StrategySettings& settings);
std::unique_ptr<Strategy> trimmed_mean_strategy(const StrategySettings& settings);

// `inner`, whose step is taken for a gradient where the settings name a server optimizer.
std::unique_ptr<Strategy> with_server_optimizer(std::unique_ptr<Strategy> inner,
                                                const StrategySettings& settings);

} // namespace coppice
