// Everything that a host keeps, in one place and under one lock on the folder.
#ifndef HOST_STUB_STORE_STORE_H_
#define HOST_STUB_STORE_STORE_H_

#include "host_stub/store/incident_store.h"
#include "host_stub/store/state_store.h"

namespace host_stub {

// Close of the one closes the other too.
class Store : public IncidentStore, public StateStore {};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_STORE_H_
