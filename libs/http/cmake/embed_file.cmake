# Writes SOURCE and HEADER with the bytes of INPUT as sluice::embedded::NAME.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${HEADER} "#pragma once

#include <string_view>

namespace sluice::embedded {
extern const std::string_view ${NAME};
}  // namespace sluice::embedded
")
# The final zero keeps an empty file a legal array; the view does not see it.
file(WRITE ${SOURCE} "#include <sluice/embedded/${NAME}.h>

namespace {
const unsigned char kBytes[] = {
${bytes}0};
}

namespace sluice::embedded {
const std::string_view ${NAME}(reinterpret_cast<const char*>(kBytes), sizeof(kBytes) - 1);
}  // namespace sluice::embedded
")
