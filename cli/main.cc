// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "cli/command.h"
#include "cli/interrupt.h"

int main(int argc, char** argv) {
  coppice::Console console(std::cout, std::cerr, coppice::detect_terminal());
  coppice::catch_interrupts();
  return coppice::run_program(std::vector<std::string>(argv + 1, argv + argc), console,
                              coppice::process_environment());
}
