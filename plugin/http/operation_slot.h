// Memory for an asynchronous operation inside the object that starts it, so that starting one
// allocates nothing. The thread's event loop frees an operation before it runs its handler.
#ifndef PLUGIN_HTTP_OPERATION_SLOT_H_
#define PLUGIN_HTTP_OPERATION_SLOT_H_

#include <cstddef>
#include <new>

namespace webhook::http {

// Room for one operation at a time; a second or a larger one comes from the heap.
class OperationSlot {
 public:
  OperationSlot() = default;
  OperationSlot(const OperationSlot&) = delete;
  OperationSlot& operator=(const OperationSlot&) = delete;

  void* Take(size_t bytes) {
    if (taken_ || bytes > sizeof(bytes_)) return ::operator new(bytes);
    taken_ = true;
    return bytes_;
  }

  void Give(void* memory) {
    if (memory == bytes_) {
      taken_ = false;
    } else {
      ::operator delete(memory);
    }
  }

 private:
  alignas(std::max_align_t) char bytes_[176];
  bool taken_ = false;
};

// What Boost.Asio asks a handler for.
template <typename T>
class SlotAllocator {
 public:
  using value_type = T;

  explicit SlotAllocator(OperationSlot& slot) : slot_(&slot) {}
  template <typename Other>
  SlotAllocator(const SlotAllocator<Other>& other) : slot_(other.slot_) {}

  T* allocate(size_t count) { return static_cast<T*>(slot_->Take(count * sizeof(T))); }
  void deallocate(T* memory, size_t) { slot_->Give(memory); }

  template <typename Other>
  bool operator==(const SlotAllocator<Other>& other) const {
    return slot_ == other.slot_;
  }

  OperationSlot* slot_;
};

// A handler that calls a member function of an object and lives in its slot.
template <auto kMember, typename Object>
struct SlotHandler {
  using allocator_type = SlotAllocator<char>;

  Object* object;
  OperationSlot* slot;

  allocator_type get_allocator() const noexcept { return allocator_type(*slot); }

  template <typename... Arguments>
  void operator()(const Arguments&... arguments) const {
    (object->*kMember)(arguments...);
  }
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_OPERATION_SLOT_H_
