#include <sluice/crypto/openssl.h>

#include <array>
#include <limits>

#include <sluice/base/check.h>

#include <openssl/err.h>

namespace sluice::crypto {

BioPtr reader_of(std::string_view text) {
  SLUICE_CHECK(text.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  SLUICE_CHECK(bio != nullptr);
  return bio;
}

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

}  // namespace sluice::crypto
