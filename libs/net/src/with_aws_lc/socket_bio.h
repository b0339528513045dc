#pragma once

#include "aws_lc.h"

#include <openssl/bio.h>

namespace sluice::net::aws_lc {

/// A BIO over a non-blocking socket that it does not own. It never raises SIGPIPE, and it remembers
/// that a receive came up short: until rearm(), reads then say "later" without asking the kernel,
/// which halves the system calls of a connection that gets one record at a time. Null when there is
/// no memory.
bssl::UniquePtr<BIO> new_socket_bio(int fd);

/// Before each call that may read.
void rearm(BIO* bio);

/// Whether a receive came up short since.
bool is_drained(BIO* bio);

/// What is written from now on waits in the kernel for the FIN, and goes out in one segment with
/// it.
void hold_for_fin(BIO* bio);

}  // namespace sluice::net::aws_lc
