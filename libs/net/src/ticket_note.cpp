#include "ticket_note.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::net {
namespace {

// A later form gets another number; fronts of both forms then ask each other's devices for a full
// handshake.
constexpr char kVersion = 2;
// The ticket must fit into a ClientHello of 4 KiB, beside 2 KiB of other things. See
// HandshakeBounds.
constexpr std::size_t kMaxNote = 1536;

class Writer {
 public:
  void number(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  void time(WallTime value) {
    number(static_cast<std::uint64_t>(value.time_since_epoch().count()), 8);
  }
  void bytes(const Fingerprint& value) {
    out_.append(reinterpret_cast<const char*>(value.data()), value.size());
  }
  void text(const std::string& value) {
    number(std::min<std::size_t>(value.size(), kMaxNote), 2);
    out_ += value;
  }
  void texts(const std::vector<std::string>& values) {
    number(std::min<std::size_t>(values.size(), kMaxNote), 2);
    for (const std::string& value : values) text(value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_{kVersion};
};

/// Of what came out of a ticket with a good seal: only another version of us can have damaged it.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number(std::size_t bytes) {
    std::uint64_t out = 0;
    const std::string_view part = take(bytes);
    for (std::size_t i = 0; i < part.size(); ++i) {
      out |= std::uint64_t{static_cast<unsigned char>(part[i])} << (8 * i);
    }
    return out;
  }
  WallTime time() {
    return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(number(8))));
  }
  Fingerprint bytes() {
    Fingerprint out{};
    const std::string_view part = take(out.size());
    std::memcpy(out.data(), part.data(), part.size());
    return out;
  }
  std::string text() { return std::string(take(number(2))); }
  std::vector<std::string> texts() {
    std::vector<std::string> out;
    for (std::uint64_t left = number(2); left > 0 && is_good_; --left) out.push_back(text());
    return out;
  }
  bool is_whole() const { return is_good_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) {
      is_good_ = false;
      return {};
    }
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return out;
  }

  std::string_view rest_;
  bool is_good_ = true;
};

/// What a note begins with.
struct Proof {
  explicit Proof(Reader& in)
      : fingerprint(in.bytes()),
        anchor(in.bytes()),
        valid_from(in.time()),
        valid_until(in.time()) {}

  Fingerprint fingerprint;
  Fingerprint anchor;
  WallTime valid_from;
  WallTime valid_until;
};

/// The rest of it; null when it is not all there.
PeerIdentityPtr read_identity(Reader& in, const Fingerprint& fingerprint) {
  PeerIdentity out;
  out.fingerprint = fingerprint;
  out.not_before = in.time();
  out.not_after = in.time();
  out.common_name = in.text();
  out.organization = in.text();
  out.serial_hex = in.text();
  out.issuer = in.text();
  out.dns_names = in.texts();
  out.uri_names = in.texts();
  if (!in.is_whole()) return nullptr;
  return std::make_shared<const PeerIdentity>(std::move(out));
}

}  // namespace

std::string encode_note(const VerifiedChain& chain) {
  const PeerIdentity& identity = *chain.identity;
  Writer out;
  out.bytes(identity.fingerprint);
  out.bytes(chain.anchor);
  out.time(chain.valid_from);
  out.time(chain.valid_until);
  out.time(identity.not_before);
  out.time(identity.not_after);
  out.text(identity.common_name);
  out.text(identity.organization);
  out.text(identity.serial_hex);
  out.text(identity.issuer);
  out.texts(identity.dns_names);
  out.texts(identity.uri_names);
  std::string note = out.take();
  return note.size() <= kMaxNote ? note : std::string();
}

bool admit_note(std::string_view note, HandshakeData& data, PeerIdentityPtr& identity) {
  identity = nullptr;
  TlsContext::State& state = *data.state;
  const auto mode = state.options.client_certificates;
  if (mode == ClientCertificates::kNone) return true;
  if (note.empty()) return mode == ClientCertificates::kOptional;
  if (!note.starts_with(kVersion)) return false;
  Reader in(note.substr(1));
  const Proof proof(in);
  const WallTime now = state.clock.wall();
  if (now < proof.valid_from || now >= proof.valid_until ||
      !data.generation->trusts(proof.anchor)) {
    return false;
  }
  // The object that the client's other connections share, where it is known, which also spares the
  // reading. What was sent along at the full handshake is not known here, so nothing can go into
  // the cache.
  auto chain = state.chains.find(proof.fingerprint, data.generation->bundle, now);
  identity = chain ? std::move(chain->identity) : read_identity(in, proof.fingerprint);
  return identity && (!state.is_revoked || !state.is_revoked(*identity));
}

}  // namespace sluice::net
