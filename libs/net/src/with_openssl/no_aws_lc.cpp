#include "../tls_state.h"

namespace sluice::net {

// In a build with -DSLUICE_TLS=openssl, instead of what with_aws_lc/ has.
const NewTlsEngine kNewAwsLcEngine = nullptr;

}  // namespace sluice::net
