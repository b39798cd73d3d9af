// What a process that holds secrets does first.
#ifndef HOST_STUB_CLI_HARDENING_H_
#define HOST_STUB_CLI_HARDENING_H_

namespace host_stub {

// No core file, whatever the system's settings; no debugger of the same user, and no look into the
// process's memory for anybody but root; no new file that others can read. Before any thread.
void HardenProcess();

}  // namespace host_stub

#endif  // HOST_STUB_CLI_HARDENING_H_
