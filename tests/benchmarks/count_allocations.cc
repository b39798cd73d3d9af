// Counts a process's allocations from outside: preloaded (LD_PRELOAD), it keeps their number in
// the first eight bytes of the file that $ALLOCATION_COUNT_FILE names.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
// glibc's own, under the names that a replacement may call.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

std::atomic<int64_t> before_the_file_is_open{0};
std::atomic<std::atomic<int64_t>*> count{&before_the_file_is_open};

void CountOne() { count.load(std::memory_order_relaxed)->fetch_add(1, std::memory_order_relaxed); }

[[gnu::constructor]] void OpenFile() {
  const char* const name = std::getenv("ALLOCATION_COUNT_FILE");
  const int file = name == nullptr ? -1 : ::open(name, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* const memory =
      ::mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory != MAP_FAILED) count = static_cast<std::atomic<int64_t>*>(memory);
}

}  // namespace

// operator new of libstdc++ comes here as well.
extern "C" {

void* malloc(size_t size) {
  CountOne();
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  CountOne();
  return __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) {
  CountOne();
  return __libc_realloc(memory, size);
}
void* memalign(size_t alignment, size_t size) {
  CountOne();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? 12 /* ENOMEM */ : 0;
}

}  // extern "C"
