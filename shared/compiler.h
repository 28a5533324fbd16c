/* The few compiler attributes that the house uses. Thread: any. */
#ifndef SHARED_COMPILER_H
#define SHARED_COMPILER_H

#define MUSTCHECK               __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))
#define NORETURN                __attribute__((noreturn))

/* The struct that holds `member`, from a pointer to that member. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define countof(array)                      (sizeof(array) / sizeof((array)[0]))

#endif
