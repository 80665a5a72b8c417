/* The selftest's parts. Each prints the points that it was counted with in main(). */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <stdbool.h>

/* selftest.c */
void check(bool ok, const char *name);
void skip(const char *why, const char *name);

#define BASIC_POINTS 12
void test_basic(int argc, char **argv);
#define MEMORY_POINTS 11
void test_memory(void);
#define TIME_POINTS 10
void test_time(void);
#define FILE_POINTS 13
void test_files(void);
#define SIGNAL_POINTS 14
void test_signals(void);
#define THREAD_POINTS 8
void test_threads(void);
#define DEVICE_POINTS 8
void test_devices(void);
#define CHANNEL_POINTS 8
void test_channels(void);

#endif
