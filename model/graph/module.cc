// SPDX-License-Identifier: Apache-2.0
// What the program finds when it opens libcoppice_graph.so; see model/engine_module.h.
#include <utility>

#include "model/engine_module.h"
#include "model/graph/graph_engine.h"

// Signature of coppice::OpenGraphEngine. True: *engine is set; false: *error is.
extern "C" __attribute__((visibility("default"))) bool coppice_graph_engine_open(
    const std::shared_ptr<const coppice::BaseModel>* base, const coppice::EngineOptions* options,
    std::unique_ptr<coppice::Engine>* engine, coppice::Error* error) {
  auto made = coppice::graph::make_graph_engine(*base, *options);
  if (!made) {
    *error = std::move(made).error();
    return false;
  }
  *engine = std::move(made).value();
  return true;
}
static_assert(std::is_same_v<decltype(coppice_graph_engine_open), coppice::OpenGraphEngine>);
