#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/types.h>

namespace sluice::net {

/// How much a client may send, in bytes: before our first answer, and until its handshake is over.
struct HandshakeBounds {
  std::uint16_t hello;
  std::uint16_t all;
};

/// The non-blocking socket below a TLS library, which it does not own. It never raises SIGPIPE, and
/// it remembers that a receive came up short: until rearm(), reads then say "later" without asking
/// the kernel, which halves the system calls of a connection that gets one record at a time.
///
/// A library makes room for a record as soon as it has read its length, and fills it as bytes come:
/// whoever sends half of one holds 16 KiB of ours. So what a stranger sends is taken from the
/// kernel in whole records, and stays there until the rest has come; and of a handshake, whose
/// messages a library gathers over records, no more is taken than `bounds`. A peer that trust() was
/// called for is read without that look ahead.
class RecordSocket {
 public:
  RecordSocket(int fd, HandshakeBounds bounds) : fd_(fd), bounds_(bounds) {}

  /// As recv(2). EAGAIN, too, for a record that is not all there; EMSGSIZE when the handshake would
  /// become longer than it may.
  ssize_t read(std::span<char> into);
  /// As send(2).
  ssize_t write(std::span<const char> bytes);

  /// Before each call of the library that may read.
  void rearm() { is_drained_ = false; }
  /// Whether the kernel had no more to give since then.
  bool is_drained() const { return is_drained_; }

  void handshake_is_over() { in_handshake_ = false; }
  void trust();
  bool is_handshake_too_long() const { return is_too_long_; }
  /// What is written from now on waits in the kernel for the FIN, and goes out in one segment with
  /// it.
  void hold_for_fin() { holds_ = true; }
  /// From now on reads find the end and writes go nowhere.
  void cut_off() { is_cut_off_ = true; }

 private:
  ssize_t look(std::span<char> into);
  ssize_t begin_long(std::span<const char> seen, std::size_t size, std::size_t room);
  ssize_t wait_for(std::size_t bytes);
  void wake_at(std::size_t bytes);
  bool has(std::size_t bytes) const;
  bool has_room_for(std::size_t bytes) const;

  const int fd_;
  const HandshakeBounds bounds_;
  std::uint16_t handshake_bytes_ = 0;
  std::uint16_t rest_ = 0;     // of a record that is all there and did not fit into one read
  std::uint16_t wake_at_ = 1;  // SO_RCVLOWAT
  bool in_hello_ : 1 = true;
  bool in_handshake_ : 1 = true;
  bool is_trusted_ : 1 = false;
  bool is_drained_ : 1 = false;
  bool is_too_long_ : 1 = false;
  bool holds_ : 1 = false;
  bool is_cut_off_ : 1 = false;
};

}  // namespace sluice::net
