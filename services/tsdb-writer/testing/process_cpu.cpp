#include "testing/process_cpu.h"

#include <format>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace sluice::tsdb::testing {

double cpu_seconds(int pid) {
  std::ifstream file(std::format("/proc/{}/stat", pid));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  // The name of the program, in brackets, may hold anything.
  const std::size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(end_of_name + 1));
  const std::vector<std::string> words(std::istream_iterator<std::string>(fields), {});
  if (words.size() < 13) return 0;
  const double ticks = std::stod(words[11]) + std::stod(words[12]);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace sluice::tsdb::testing
