/* Was made for a later major version of the interface. */
#include <stddef.h>
#include <stdint.h>

const void* lri_plugin_entry_v2(uint32_t host_abi_minor);
const void* lri_plugin_entry_v2(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return NULL;
}
