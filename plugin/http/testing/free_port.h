// Listen ports for tests that run side by side.
#ifndef PLUGIN_HTTP_TESTING_FREE_PORT_H_
#define PLUGIN_HTTP_TESTING_FREE_PORT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace webhook::http {

// A loopback address, 127.x.y.z, that this process has chosen at random. No other process binds or
// connects from it, so a port of it that is free stays free.
const std::string& OwnAddress();

// Different ports of OwnAddress() that nobody listens on. The next 1,000 that a test asks for are
// others, too, although nobody listens on these yet. Not thread-safe.
std::vector<uint16_t> FreePorts(size_t count);
inline uint16_t FreePort() { return FreePorts(1)[0]; }

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TESTING_FREE_PORT_H_
