// Boost.JSON is header-only where one source file includes this: compiled here, once for all who
// use it.
#include <boost/json/src.hpp>
