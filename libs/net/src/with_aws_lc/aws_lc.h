#pragma once

#include <string_view>

#include <sluice/base/result.h>

#include <openssl/base.h>

// These sources alone are compiled with AWS-LC's headers, which have OpenSSL's names.
#ifndef OPENSSL_IS_AWSLC
#error "AWS-LC's headers must come before OpenSSL's"
#endif

namespace sluice::net::aws_lc {

/// The first error of this thread's queue as an Error; empties the queue.
Error error_of(std::string_view what);

}  // namespace sluice::net::aws_lc
