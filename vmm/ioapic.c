/* The I/O APIC; see ioapic.h. Accesses come from vCPU threads. */
#include "ioapic.h"

#include <assert.h>
#include <string.h>

#define REG_SELECT 0x00
#define REG_WINDOW 0x10

#define INDEX_ID 0x00
#define INDEX_VERSION 0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_ENTRY 0x10 /* two words a pin */

#define VERSION (0x11u | (EXO_IOAPIC_PINS - 1) << 16)
#define ID_MASK 0x0f000000u

/* Redirection entry. */
#define ENTRY_VECTOR 0xffull
#define ENTRY_MODE (7ull << 8)
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_READ_ONLY (1ull << 12 | 1ull << 14) /* delivery status, remote IRR */
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_WRITABLE (0xffull << 56 | 0x1ffffull)
#define MODE_FIXED (0ull << 8)
#define MODE_LOWEST (1ull << 8)

/* Message (Intel SDM 3A, 11.11). */
#define MSI_ADDRESS 0xfee00000ull
#define MSI_LOGICAL (1ull << 2)
#define MSI_REDIRECT (1ull << 3)

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *opaque)
{
	*io = (struct ioapic){.ops = ops, .opaque = opaque, .wired = -1};
	pthread_mutex_init(&io->lock, NULL);
	for (unsigned i = 0; i < EXO_IOAPIC_PINS; i++)
		io->entry[i] = ENTRY_MASKED;
}

static uint64_t message_address(uint64_t entry)
{
	uint64_t address = MSI_ADDRESS | (entry >> 56) << 12;

	if (entry & ENTRY_LOGICAL)
		address |= MSI_LOGICAL;
	if ((entry & ENTRY_MODE) == MODE_LOWEST)
		address |= MSI_REDIRECT;
	return address;
}

/* Vector and delivery mode; trigger mode 0: edge. */
static uint32_t message_data(uint64_t entry)
{
	return (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE));
}

static void send(struct ioapic *io, unsigned pin)
{
	uint64_t entry = io->entry[pin];

	io->kept &= ~(1u << pin);
	io->ops->send(io->opaque, pin, message_address(entry), message_data(entry));
}

static int tell_route(struct ioapic *io, unsigned pin)
{
	uint64_t entry = io->entry[pin];

	return io->ops->route(io->opaque, pin, !(entry & ENTRY_MASKED), message_address(entry),
			      message_data(entry));
}

static uint32_t read_word(const struct ioapic *io)
{
	unsigned word = io->index - INDEX_ENTRY;

	switch (io->index) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return io->id;
	case INDEX_VERSION:
		return VERSION;
	}
	if (io->index < INDEX_ENTRY || word / 2 >= EXO_IOAPIC_PINS)
		return 0;
	return (uint32_t)(io->entry[word / 2] >> (word % 2 * 32));
}

static void write_word(struct ioapic *io, uint32_t value)
{
	unsigned word = io->index - INDEX_ENTRY, pin = word / 2, shift = word % 2 * 32;

	if (io->index == INDEX_ID)
		io->id = value & ID_MASK;
	if (io->index < INDEX_ENTRY || pin >= EXO_IOAPIC_PINS)
		return;
	uint64_t entry = (io->entry[pin] & ~(0xffffffffull << shift)) | (uint64_t)value << shift;

	entry &= ENTRY_WRITABLE & ~ENTRY_READ_ONLY;
	if ((int)pin == io->wired && entry != io->entry[pin]) {
		io->entry[pin] = entry;
		(void)tell_route(io, pin);
		if (entry & ENTRY_MASKED)
			io->kept |= 1u << pin;
	}
	io->entry[pin] = entry;
	if (!(io->entry[pin] & ENTRY_MASKED) && io->kept & 1u << pin)
		send(io, pin);
}

static void handle_read(void *opaque, uint64_t off, void *data, size_t len)
{
	struct ioapic *io = opaque;
	uint32_t value = 0;

	pthread_mutex_lock(&io->lock);
	if (off == REG_SELECT)
		value = io->index;
	else if (off == REG_WINDOW)
		value = read_word(io);
	pthread_mutex_unlock(&io->lock);
	memset(data, 0, len);
	memcpy(data, &value, len < sizeof(value) ? len : sizeof(value));
}

/* The low 32 bits count, as in the chip; narrower writes are extended with zeroes. */
static void handle_write(void *opaque, uint64_t off, const void *data, size_t len)
{
	struct ioapic *io = opaque;
	uint32_t value = 0;

	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	pthread_mutex_lock(&io->lock);
	if (off == REG_SELECT)
		io->index = value & 0xff;
	else if (off == REG_WINDOW)
		write_word(io, value);
	pthread_mutex_unlock(&io->lock);
}

const struct bus_handler ioapic_handler = {.read = handle_read, .write = handle_write};

void ioapic_raise(struct ioapic *io, unsigned pin)
{
	assert(pin < EXO_IOAPIC_PINS);
	pthread_mutex_lock(&io->lock);
	if (io->entry[pin] & ENTRY_MASKED)
		io->kept |= 1u << pin;
	else
		send(io, pin);
	pthread_mutex_unlock(&io->lock);
}

int ioapic_wire(struct ioapic *io, unsigned pin)
{
	int err;

	assert(pin < EXO_IOAPIC_PINS);
	pthread_mutex_lock(&io->lock);
	err = tell_route(io, pin);
	if (!err) {
		io->wired = (int)pin;
		if (io->entry[pin] & ENTRY_MASKED)
			io->kept |= 1u << pin;
	}
	pthread_mutex_unlock(&io->lock);
	return err;
}

bool ioapic_has_special(struct ioapic *io)
{
	bool special = false;

	pthread_mutex_lock(&io->lock);
	for (unsigned i = 0; i < EXO_IOAPIC_PINS; i++) {
		uint64_t mode = io->entry[i] & ENTRY_MODE;

		special |=
			!(io->entry[i] & ENTRY_MASKED) && mode != MODE_FIXED && mode != MODE_LOWEST;
	}
	pthread_mutex_unlock(&io->lock);
	return special;
}
