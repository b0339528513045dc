#include <sluice/base/check.h>

#include <cstdio>
#include <cstdlib>

namespace sluice {

void report_bug(std::string_view expression, const char* file, int line) {
  std::fprintf(stderr, "BUG: %.*s does not hold at %s:%d\n", static_cast<int>(expression.size()),
               expression.data(), file, line);
  std::abort();
}

}  // namespace sluice
