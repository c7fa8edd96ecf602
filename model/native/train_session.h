// SPDX-License-Identifier: Apache-2.0
// Training on the native engine: K clients' adapters, one client's passes after the other's.
#pragma once

#include <memory>
#include <vector>

#include "model/native/transformer.h"

namespace coppice::native {

// The transformer must outlive the session. `round_tokens` is of its scores. Errors of
// check_jobs().
Result<std::unique_ptr<TrainSession>> start_train_session(Transformer& transformer,
                                                          std::vector<TrainJob> jobs,
                                                          std::uint64_t activation_bytes,
                                                          bool round_tokens);

} // namespace coppice::native
