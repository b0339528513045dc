#pragma once

#include "openssl.h"

namespace sluice::net {

/// A BIO over a non-blocking socket that it does not own. Unlike OpenSSL's own it never raises
/// SIGPIPE, and it remembers that a receive came up short: until rearm_socket_bio(), reads then say
/// "later" without asking the kernel, which halves the system calls of a connection that gets one
/// record at a time. Needs no memory besides OpenSSL's BIO. Null when there is no memory.
BioPtr new_socket_bio(int fd);

/// Before each call into OpenSSL that may read.
void rearm_socket_bio(BIO* bio);

/// What is written from now on waits in the kernel for the FIN, and goes out in one segment with
/// it.
void hold_socket_bio_for_fin(BIO* bio);

/// From now on reads find the end and writes go nowhere.
void detach_socket_bio(BIO* bio);

}  // namespace sluice::net
