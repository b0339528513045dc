#pragma once

#include "../record_socket.h"
#include "openssl.h"

namespace sluice::net {

/// A BIO over `socket`, which must outlive it. Null when there is no memory.
BioPtr new_socket_bio(RecordSocket& socket);

}  // namespace sluice::net
