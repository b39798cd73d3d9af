// Ownership of what a C library has made: std::unique_ptr<SSL, FreeWith<&SSL_free>>.
#ifndef HOST_STUB_SERVICE_FREE_WITH_H_
#define HOST_STUB_SERVICE_FREE_WITH_H_

namespace host_stub {

template <auto kFree>
struct FreeWith {
  template <typename Object>
  void operator()(Object* object) const {
    kFree(object);
  }
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_FREE_WITH_H_
