// The head of a WebSocket's request: the same answer however it comes, one that can be sent, and no
// more of the input taken than the head.

#include "../fuzz.h"

#include <string>

#include <sluice/net/websocket.h>

namespace sluice::net {
namespace {

using State = WebSocketUpgrade::State;

void check(const WebSocketUpgrade::Outcome& outcome, std::string_view bytes) {
  if (outcome.state == State::kNeedMore) {
    SLUICE_CHECK(outcome.response.empty() && bytes.size() < kMaxUpgradeBytes);
    return;
  }
  SLUICE_CHECK(outcome.response.starts_with("HTTP/1.1 " + std::to_string(outcome.status) + " "));
  // Nothing of the request is in the answer but what is known beforehand: one end, no lines of its
  // own.
  SLUICE_CHECK(outcome.response.find("\r\n\r\n") == outcome.response.size() - 4);
  SLUICE_CHECK((outcome.state == State::kAccepted) == (outcome.status == 101));
  if (outcome.state != State::kAccepted) return;
  SLUICE_CHECK(outcome.consumed >= 4 && outcome.consumed <= bytes.size() &&
               outcome.consumed <= kMaxUpgradeBytes);
  SLUICE_CHECK(bytes.substr(outcome.consumed - 4, 4) == "\r\n\r\n");
}

void run(std::string_view bytes, const WebSocketOptions& options) {
  WebSocketUpgrade at_once;
  const auto whole = at_once.read(bytes, options);
  check(whole, bytes);
  WebSocketUpgrade in_pieces;
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    const auto outcome = in_pieces.read(bytes.substr(0, size), options);
    if (outcome.state == State::kNeedMore && size < bytes.size()) continue;
    SLUICE_CHECK(outcome.state == whole.state && outcome.status == whole.status &&
                 outcome.response == whole.response && outcome.consumed == whole.consumed);
    return;
  }
}

}  // namespace
}  // namespace sluice::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::as_text(data, size);
  net::run(bytes, {});
  net::run(bytes, {.allowed_origins = {"https://a.example"}});
  return 0;
}
