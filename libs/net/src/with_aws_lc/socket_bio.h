#pragma once

#include "../record_socket.h"
#include "aws_lc.h"

#include <openssl/bio.h>

namespace sluice::net::aws_lc {

/// A BIO over `socket`, which must outlive it. Null when there is no memory.
bssl::UniquePtr<BIO> new_socket_bio(RecordSocket& socket);

}  // namespace sluice::net::aws_lc
