#include "program.h"
#include "workers.h"

#include <cstdio>
#include <string>
#include <vector>

int main(int count, char** arguments) {
  sluice::load::prepare_process();
  const sluice::SystemClock clock;
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const auto outcome = sluice::load::run_program(words, clock);
  std::fputs(outcome.out.c_str(), stdout);
  std::fputs(outcome.err.c_str(), stderr);
  return outcome.status;
}
