#include "record_socket.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <sluice/base/planted_bug.h>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace sluice::net {
namespace {

// RFC 8446, 5.1, and RFC 5246, 6.2.3.
constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kMaxBodyBytes = 16 * 1024 + 2048;

unsigned char at(std::span<const char> bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

/// Of the record that begins here, as far as one can tell: at least its header. Nothing when it is
/// none, or too long: the library knows what to say to that.
std::optional<std::size_t> size_of_record(std::span<const char> bytes) {
  const unsigned char type = at(bytes, 0);  // change_cipher_spec to application_data
  if (type < 20 || type > 23 || (bytes.size() > 1 && at(bytes, 1) != 3)) return std::nullopt;
  if (bytes.size() < kHeaderBytes) return kHeaderBytes;
  const std::size_t body = at(bytes, 3) * 256U + at(bytes, 4);
  if (body > kMaxBodyBytes) return std::nullopt;
  return kHeaderBytes + body;
}

ssize_t refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

ssize_t RecordSocket::read(std::span<char> into) {
  if (is_cut_off_) return 0;
  if (is_drained_) return refuse(EAGAIN);
  const bool looks = !is_trusted_ && rest_ == 0;
  if (rest_ > 0) {
    into = into.first(std::min<std::size_t>(into.size(), rest_));
  } else if (looks) {
    const ssize_t whole = look(into);
    if (whole <= 0) return whole;
    into = into.first(static_cast<std::size_t>(whole));
  }
  const ssize_t count = recv(fd_, into.data(), into.size(), 0);
  if (count <= 0) return count;
  const auto got = static_cast<std::size_t>(count);
  if (rest_ > 0 && !looks) {
    rest_ = static_cast<std::uint16_t>(rest_ - got);
  } else if (!looks && got < into.size()) {
    is_drained_ = true;  // the end of the stream is no shortness: it stays there to be read
  }
  if (in_handshake_) handshake_bytes_ = static_cast<std::uint16_t>(handshake_bytes_ + got);
  return count;
}

/// How much of what is there may be taken.
ssize_t RecordSocket::look(std::span<char> into) {
  const ssize_t count = recv(fd_, into.data(), into.size(), MSG_PEEK);
  if (count <= 0) return count;
  const std::span<const char> seen = into.first(static_cast<std::size_t>(count));
  std::size_t whole = 0;
  std::size_t next = 0;
  while (whole < seen.size()) {
    const auto size = size_of_record(seen.subspan(whole));
    if (!size) return count;
    next = *size;
    is_too_long_ = !has_room_for(whole + next);
    if (is_too_long_ || whole + next > seen.size()) break;
    whole += next;
  }
  if (whole == 0) {
    return is_too_long_ ? refuse(EMSGSIZE) : begin_long(seen, next, into.size());
  }
  // What the handshake has no room for may stand behind its end.
  is_drained_ = !is_too_long_ && seen.size() < into.size();
  is_too_long_ = false;
  wake_at(1);
  return static_cast<ssize_t>(whole);
}

bool RecordSocket::has_room_for(std::size_t bytes) const {
  const std::size_t all = handshake_bytes_ + bytes;
  return !in_handshake_ || (all <= bounds_.all && (!in_hello_ || all <= bounds_.hello));
}

/// Of a record that was not all seen: it may be all there, and longer than the library's buffer.
ssize_t RecordSocket::begin_long(std::span<const char> seen, std::size_t size, std::size_t room) {
  if (size <= room || !has(size)) {
    if (SLUICE_PLANTED_BUG("net_holds_half_records")) {
      rest_ = static_cast<std::uint16_t>(size - seen.size());
      return static_cast<ssize_t>(seen.size());
    }
    return wait_for(size);
  }
  wake_at(1);
  rest_ = static_cast<std::uint16_t>(size - seen.size());
  return static_cast<ssize_t>(seen.size());
}

ssize_t RecordSocket::wait_for(std::size_t bytes) {
  // Half a record is nothing, and as long as it stays there the end behind it cannot be read. But
  // the other half may have come with the end since we looked: then there is an event for both.
  pollfd end{.fd = fd_, .events = POLLRDHUP, .revents = 0};
  if (poll(&end, 1, 0) == 1 && !has(bytes)) return 0;
  wake_at(bytes);
  is_drained_ = true;
  return refuse(EAGAIN);
}

bool RecordSocket::has(std::size_t bytes) const {
  int there = 0;
  return ioctl(fd_, FIONREAD, &there) == 0 && there >= static_cast<int>(bytes);
}

/// Also makes the kernel's own buffer large enough, which it is not everywhere.
void RecordSocket::wake_at(std::size_t bytes) {
  if (wake_at_ == bytes) return;
  const int value = static_cast<int>(bytes);
  setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value));
  wake_at_ = static_cast<std::uint16_t>(bytes);
}

void RecordSocket::trust() {
  is_trusted_ = true;
  wake_at(1);
}

ssize_t RecordSocket::write(std::span<const char> bytes) {
  in_hello_ = false;
  if (is_cut_off_) return static_cast<ssize_t>(bytes.size());
  return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | (holds_ ? MSG_MORE : 0));
}

}  // namespace sluice::net
