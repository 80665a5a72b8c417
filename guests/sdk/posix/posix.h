/*
 * What the files of the POSIX layer share. The layer runs in ring 3, on the
 * stack of the thread that made the system call, with the general registers
 * only (a Linux system call keeps the SSE registers, so nothing here may touch
 * them).
 *
 * Concurrency: one vCPU. While `busy` is set in the supervisor's block, the
 * supervisor only notes interrupts (pending bits) and does not divert ring 3;
 * the layer is therefore never re-entered, and its data needs no locks. Threads
 * switch only inside thread_sleep and thread_yield.
 *
 * Everything here is local to the SDK: exo-cc's link makes only the entry
 * points global, so a program may use any of these names for itself.
 */
#ifndef POSIX_H
#define POSIX_H

#include <exo/machine.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "../sup.h"

#define NS_PER_S 1000000000ull
#define DEADLINE_NEVER UINT64_MAX
/* Internal errors of an interrupted call; the program sees EINTR or a call made again. */
#define RESTART_CALL 512   /* again after no handler, or one with SA_RESTART */
#define RESTART_NOHAND 514 /* again after no handler */
#define RED_ZONE 128

/*
 * For what only some programs use: away from the rest, so that a short program
 * touches few pages (a first touch costs microseconds).
 */
#define APART __attribute__((section(".bss.exo_apart")))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* A thread's user registers, as posix/entry.S stores them: keep both in step. */
struct regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax; /* system call number, or -1 after an interrupt */
	uint64_t rip, rflags, rsp;
};

/* ---- start (start.c) --------------------------------------------------- */

/* The block shared with the supervisor, what it found out, and the boot block or NULL. */
extern struct sup_shared *sup;
extern const struct sup_facts *facts;
extern const struct exo_boot *boot;

/* ---- threads (thread.c) ------------------------------------------------ */

enum thread_state { THREAD_RUNNABLE, THREAD_SLEEPING, THREAD_DEAD };

struct thread {
	uint64_t ksp; /* entry.S: stack pointer while switched out; offset 0 */
	uint64_t reserved;
	uint8_t fx[512] __attribute__((aligned(16))); /* entry.S: offset 16 */
	struct thread *next;                          /* all threads, a ring */
	uint64_t fs_base;
	int tid;
	enum thread_state state;
	const void *chan;     /* what it sleeps on */
	uint64_t deadline_ns; /* when to wake it anyway */
	bool expired;         /* woken by its deadline */
	uint32_t futex_bits;  /* 0: not waiting for a futex */
	uint64_t sig_pending; /* bit n: signal n + 1, sent to this thread */
	uint64_t sig_mask;
	uint64_t sig_saved_mask; /* of sigsuspend, ppoll…: restored after the handler */
	bool sig_restore_mask;
	int sig_code[64]; /* si_code and sender's value of a pending signal */
	int *clear_tid;
	void *robust_list;
	stack_t altstack;
	uint64_t unmap_lo, unmap_hi; /* own stack, unmapped by the thread itself: at its end */
};

extern struct thread thread_main;
extern struct thread *thread_current;

/* Channel of everybody who waits for the readiness of several files. */
extern const char thread_poll_chan;

/*
 * Sleeps until thread_wake(chan), the deadline (CLOCK_MONOTONIC) or a signal.
 * 0, -ETIMEDOUT or -RESTART_CALL. May return 0 without cause: callers loop.
 */
int thread_sleep(const void *chan, uint64_t deadline_ns);
/* The same, but signals do not end the sleep. */
int thread_sleep_uninterruptible(const void *chan, uint64_t deadline_ns);
/* Wakes all that sleep on chan, and the pollers. */
void thread_wake(const void *chan);
/* Makes a sleeping thread look at its signals. */
void thread_interrupt(struct thread *t);
void thread_yield(void);
/* Ends the sleep of threads whose deadline is past; were there any? */
bool thread_expire(uint64_t now_ns);
uint64_t thread_next_deadline(void);
/* Is it the only thread of the program? */
bool thread_alone(void);
/* Is there another thread that could run? */
bool thread_others_runnable(void);
/* A thread that can take a signal sent to the process: has it unblocked. */
struct thread *thread_for_signal(uint64_t bit);
struct thread *thread_by_tid(int tid);
long thread_clone(struct regs *r, uint64_t flags, uint64_t stack, int *ptid, int *ctid,
		  uint64_t tls);
_Noreturn void thread_exit(void);
long thread_futex(uint32_t *addr, int op, uint32_t val, uint64_t arg, uint32_t *addr2,
		  uint32_t val3);

/* entry.S */
void thread_set_fs(uint64_t base);
void futex_robust_exit(struct thread *t);
void thread_switch(struct thread *from, struct thread *to);
void thread_first_return(void);
void syscall_enter(struct regs *r);   /* called by entry.S */
void syscall_pending(struct regs *r); /* called by entry.S */
void thread_started(struct regs *r);  /* called by entry.S */
void entry_syscall(void);
void entry_upcall(void);
void entry_fault(void);

/* ---- events (event.c) -------------------------------------------------- */

/* Takes the supervisor's pending bits and runs what they stand for. */
void event_run(void);
/* Nothing can run: waits in the supervisor for an interrupt or the next deadline. */
void event_idle(void);
/* Registers the handler of a device's interrupt line. */
void event_on_gsi(unsigned gsi, void (*fn)(void *), void *arg);
/* Programs the hardware timer for the nearest deadline while ring 3 runs. */
void event_arm(void);
/* Time spent waiting so far. */
uint64_t event_idle_ns(void);

/* ---- clocks and timers (time.c) ---------------------------------------- */

struct timer {
	struct timer *next;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint64_t interval_ns;
	uint64_t expirations; /* for fn: how often it was due since the last time */
	void (*fn)(struct timer *);
	bool armed;
};

void clock_init(void);
uint64_t clock_ns(void); /* CLOCK_MONOTONIC */
uint64_t clock_realtime_ns(void);
uint64_t clock_tsc_of(uint64_t monotonic_ns);
void timer_set(struct timer *t, uint64_t deadline_ns, uint64_t interval_ns);
void timer_clear(struct timer *t);
/* Runs the timers that are due; were there any? */
bool timer_run(uint64_t now_ns);
uint64_t timer_next(void);
/* Deadline for a relative timespec/NULL; false if the value is not valid. */
bool clock_deadline(const struct timespec *ts, uint64_t *deadline_ns);
bool clock_from_timespec(const struct timespec *ts, uint64_t *ns);
struct timespec clock_to_timespec(uint64_t ns);
/* The monotonic time at which clock `id` shows `ns`. */
uint64_t clock_absolute(int id, uint64_t ns);
/* Reads one of the POSIX clocks; -EINVAL if unknown. */
int clock_read(int id, uint64_t *ns);

/* ---- signals (signal.c) ------------------------------------------------ */

/* Sends to the process or, with t, to one thread. 0 or -EINVAL. */
int signal_send(struct thread *t, int sig, int code);
/* Is there one that the current thread would act on now? */
bool signal_due(void);
/* Acts on what is due before ring 3 goes on with r. */
void signal_deliver(struct regs *r);
/* A fault of the program (entry.S): the registers its handler starts with, or no return. */
struct regs *signal_fault(struct regs *r);
/* For ppoll and the like: other mask until the next signal_deliver. */
void signal_mask_for_wait(const uint64_t *mask);
void signal_mask_wait_done(bool interrupted);

/* ---- memory (mem.c) ---------------------------------------------------- */

/* Whole zeroed pages for the layer itself; NULL when there are none. */
void *mem_pages(size_t bytes);
void mem_pages_free(void *p, size_t bytes);
/* Small objects, zeroed; NULL when there is no memory. */
void *mem_alloc(size_t bytes);
void mem_free(void *p, size_t bytes);
/* munmap, mmap, mprotect, brk, mremap, madvise; a result or -errno. */
long mem_unmap(uint64_t addr, size_t len);
long mem_mmap(uint64_t addr, size_t len, int prot, int flags, int fd);
long mem_protect(uint64_t addr, size_t len, int prot);
uint64_t mem_brk(uint64_t addr);
long mem_remap(uint64_t addr, size_t old_len, size_t len, int flags);
long mem_advise(uint64_t addr, size_t len, int advice);
/* Is addr in memory without any access (a thread's guard)? Its bounds. */
bool mem_guard_around(uint64_t addr, uint64_t *lo, uint64_t *hi);
/* Unallocated RAM and all of it, bytes. */
void mem_stat(uint64_t *free_bytes, uint64_t *total_bytes);

/* ---- files (fd.c) ------------------------------------------------------ */

struct file;

/* One static const per kind of file. A missing entry: the call's usual error. */
struct file_ops {
	/*
	 * `off` is a position, or -1 for the file's own. Bytes, 0 at the end, or
	 * -errno; -EAGAIN is the op's own business when O_NONBLOCK is set.
	 */
	long (*readv)(struct file *f, const struct iovec *iov, int n, int64_t off);
	long (*writev)(struct file *f, const struct iovec *iov, int n, int64_t off);
	unsigned (*poll)(struct file *f); /* POLL* bits that hold now */
	/* Somebody is about to sleep on it: ask the device for interrupts. */
	void (*poll_prepare)(struct file *f);
	long (*ioctl)(struct file *f, unsigned long req, unsigned long arg);
	int64_t (*size)(struct file *f); /* seekable files: bytes */
	int (*sync)(struct file *f);
	int (*stat)(struct file *f, struct stat *st); /* else from mode and size */
	void (*close)(struct file *f); /* last reference gone; frees f if it was allocated */
	uint32_t mode;                 /* S_IFCHR | 0600 … for fstat */
};

struct file {
	const struct file_ops *ops;
	unsigned refs;
	unsigned flags; /* O_ACCMODE, O_NONBLOCK, O_APPEND */
	int64_t pos;
	uint64_t dev; /* for fstat */
};

#define FD_MAX 256

/* The file behind an fd, or NULL. */
struct file *fd_file(int fd);
/* Puts f at the lowest free fd ≥ from; takes over the reference. fd or -EMFILE. */
int fd_install(struct file *f, int from, bool cloexec);
void file_unref(struct file *f);
bool file_nonblock(const struct file *f);
uint64_t iov_total(const struct iovec *iov, int n);
/* Copies between a flat buffer and the iovecs from offset `at` on; bytes copied. */
size_t iov_to(const struct iovec *iov, int n, size_t at, const void *src, size_t len);
size_t iov_from(const struct iovec *iov, int n, size_t at, void *dst, size_t len);

/* namespace.c: what open() reaches. A new file with one reference, or -errno. */
int namespace_open(const char *path, int flags, struct file **out);
/* 0 and the mode, or -ENOENT: for stat and access. */
int namespace_stat(const char *path, struct stat *st);

/* The standard streams (tty.c); more kinds are in files.h. */
extern struct file tty_file[3];
/* Another reference to a stream, NULL if it is closed; the terminal, NULL if there is none. */
struct file *tty_open(unsigned stream);
struct file *tty_open_controlling(void);
/* Console output that is still on its way; bounded wait. */
void tty_flush(void);
/* A line for the person in front of the machine, from the SDK itself. */
void tty_report(const char *text, size_t len);

/* ---- the rest ---------------------------------------------------------- */

void random_bytes(void *buf, size_t len);
/* Mixes in what the rng device gives, once. */
void random_reseed(void);
/* Ends the guest as `exit(status)`, or as killed by a signal. */
_Noreturn void power_exit(int status);
_Noreturn void power_signal(int sig);
_Noreturn void power_fault(struct exo_fault *f);
_Noreturn void power_panic(const char *text);

/* Runs fn before the next system call that does not end the program. */
void syscall_defer(void (*fn)(void));
/* The terminal has a new size. */
void tty_resized(uint16_t rows, uint16_t cols);
/* Any system call. -errno, or the result; writes r for those that change registers. */
long syscall_dispatch(struct regs *r);

#endif
