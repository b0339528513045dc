// A PROXY header, version 1 or 2: every beginning of one waits for the rest, and what follows it
// changes nothing.

#include "../fuzz.h"

#include <vector>

#include <sluice/net/proxy_protocol.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using State = net::ProxyHeader::State;
  const auto bytes = fuzz::as_bytes(data, size);
  const net::ProxyHeader whole = net::read_proxy_header(bytes);
  SLUICE_CHECK(whole.state != State::kNeedMore || size < net::kMaxProxyHeaderBytes);
  if (whole.state != State::kComplete) {
    SLUICE_CHECK(!whole.source);
    // What is broken stays so, whatever comes behind it.
    std::vector<std::byte> longer(bytes.begin(), bytes.end());
    longer.resize(size + 64, std::byte{'x'});
    SLUICE_CHECK(whole.state == State::kNeedMore ||
                 net::read_proxy_header(longer).state == State::kInvalid);
    return 0;
  }
  SLUICE_CHECK(whole.consumed > 0 && whole.consumed <= size &&
               whole.consumed <= net::kMaxProxyHeaderBytes);
  if (whole.source) SLUICE_CHECK(!whole.source->ip_text().empty());
  for (std::size_t part = 0; part < whole.consumed; ++part) {
    SLUICE_CHECK(net::read_proxy_header(bytes.first(part)).state == State::kNeedMore);
  }
  const net::ProxyHeader alone = net::read_proxy_header(bytes.first(whole.consumed));
  SLUICE_CHECK(alone.state == State::kComplete && alone.consumed == whole.consumed);
  return 0;
}
