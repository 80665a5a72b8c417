/* Starts a thread that nobody joins: all of ours live until the process ends. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

#define THREAD_STACK_BYTES (256u << 10)

/* 0 or -errno. */
static inline int thread_start(void *(*fn)(void *), void *opaque)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, fn, opaque);
	pthread_attr_destroy(&attr);
	return -err;
}

#endif
