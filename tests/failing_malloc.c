// For LD_PRELOAD: the FAIL_AT-th call that asks for memory gets none, and with FAIL_ON set no later one does either. With FAIL_COUNT
// set the number of calls goes to stderr at the end. Counts malloc, calloc, realloc and aligned_alloc, which is all that C++ uses.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* memory, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static atomic_long g_calls;

static int fails(void) {
  static long at = -1;
  static int on = -1;
  if (on < 0) {
    const char* text = getenv("FAIL_AT");
    at = text ? atol(text) : 0;
    on = getenv("FAIL_ON") != NULL;
  }
  const long call = atomic_fetch_add(&g_calls, 1) + 1;
  const int failing = at > 0 && (on ? call >= at : call == at);
  if (failing) errno = ENOMEM;
  return failing;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return fails() ? NULL : __libc_realloc(memory, size); }
void* aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }

__attribute__((destructor)) static void tell(void) {
  if (getenv("FAIL_COUNT")) fprintf(stderr, "CALLS %ld\n", atomic_load(&g_calls));
}
