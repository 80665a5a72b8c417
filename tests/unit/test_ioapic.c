/*
 * The I/O APIC's registers and messages: what a driver programs is what is sent,
 * edges wait while masked, and no access does harm.
 */
#include "ioapic.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct ioapic io;
static unsigned sent, sent_pin;
static uint64_t sent_address;
static uint32_t sent_data;

static void on_send(void *opaque, unsigned pin, uint64_t address, uint32_t data)
{
	sent++;
	sent_pin = pin;
	sent_address = address;
	sent_data = data;
}

static unsigned routes;
static bool route_on;
static int route_error;
static uint64_t route_address;
static uint32_t route_data;

static int on_route(void *opaque, unsigned pin, bool on, uint64_t address, uint32_t data)
{
	ck_assert_uint_eq(pin, 8);
	routes++;
	route_on = on;
	route_address = address;
	route_data = data;
	return route_error;
}

static const struct ioapic_ops ops = {.send = on_send, .route = on_route};

static void setup(void)
{
	ioapic_init(&io, &ops, NULL);
	sent = routes = 0;
	route_error = 0;
}

static uint32_t get(uint32_t index)
{
	uint32_t value = 0;

	ioapic_handler.write(&io, 0x00, &index, 4);
	ioapic_handler.read(&io, 0x10, &value, 4);
	return value;
}

static void set(uint32_t index, uint32_t value)
{
	ioapic_handler.write(&io, 0x00, &index, 4);
	ioapic_handler.write(&io, 0x10, &value, 4);
}

static void program(unsigned pin, uint32_t low, uint8_t destination)
{
	set(0x10 + 2 * pin + 1, (uint32_t)destination << 24);
	set(0x10 + 2 * pin, low);
}

START_TEST(identity)
{
	ck_assert_uint_eq(get(1), 0x11 | 23u << 16);
	set(0, 0xffffffff);
	ck_assert_uint_eq(get(0), 0x0f000000);
	for (unsigned pin = 0; pin < EXO_IOAPIC_PINS; pin++)
		ck_assert_uint_eq(get(0x10 + 2 * pin), 0x10000); /* masked */
	ck_assert_uint_eq(get(0x40), 0);
	ck_assert_uint_eq(get(0xff), 0);
}
END_TEST

START_TEST(messages)
{
	program(8, 0x31, 2);
	ioapic_raise(&io, 8);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(sent_pin, 8);
	ck_assert_uint_eq(sent_address, 0xfee02000);
	ck_assert_uint_eq(sent_data, 0x31);
	program(9, 0x900 | 0x40, 0xff); /* logical, lowest priority */
	ioapic_raise(&io, 9);
	ck_assert_uint_eq(sent_address, 0xfeeff00c);
	ck_assert_uint_eq(sent_data, 0x140);
}
END_TEST

START_TEST(level_is_served_as_edge)
{
	program(8, 0x8000 | 0x2000 | 0x33, 0);
	ioapic_raise(&io, 8);
	ioapic_raise(&io, 8);
	ck_assert_uint_eq(sent, 2);
	ck_assert_uint_eq(sent_data, 0x33);
	ck_assert_uint_eq(get(0x20), 0xa033);
}
END_TEST

START_TEST(edge_waits_while_masked)
{
	program(8, 0x10031, 0);
	ioapic_raise(&io, 8);
	ioapic_raise(&io, 8);
	ck_assert_uint_eq(sent, 0);
	program(9, 0x32, 0);
	ck_assert_uint_eq(sent, 0);
	program(8, 0x31, 0);
	ck_assert_uint_eq(sent, 1); /* one message, however many edges */
	ck_assert_uint_eq(sent_data, 0x31);
	program(8, 0x31, 0);
	ck_assert_uint_eq(sent, 1);
}
END_TEST

START_TEST(wired_pin_is_told)
{
	program(8, 0x31, 2);
	ck_assert_uint_eq(routes, 0);
	ck_assert_int_eq(ioapic_wire(&io, 8), 0);
	ck_assert_uint_eq(routes, 1);
	ck_assert(route_on);
	ck_assert_uint_eq(route_address, 0xfee02000);
	ck_assert_uint_eq(route_data, 0x31);
	program(9, 0x32, 0);
	program(8, 0x31, 2);
	ck_assert_uint_eq(routes, 1); /* no change of it */
	set(0x20, 0x44);
	ck_assert_uint_eq(routes, 2);
	ck_assert_uint_eq(route_data, 0x44);
	ck_assert_uint_eq(sent, 0);
}
END_TEST

/* Edges that came while it was masked were somebody else's to see: one is sent for them. */
START_TEST(wired_pin_loses_nothing)
{
	ck_assert_int_eq(ioapic_wire(&io, 8), 0);
	ck_assert(!route_on);
	program(8, 0x31, 0);
	ck_assert(route_on);
	ck_assert_uint_eq(sent, 1);
	program(8, 0x10031, 0);
	ck_assert(!route_on);
	ck_assert_uint_eq(sent, 1);
	program(8, 0x31, 0);
	ck_assert(route_on);
	ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(wiring_fails)
{
	route_error = -5;
	ck_assert_int_eq(ioapic_wire(&io, 8), -5);
	program(8, 0x31, 0);
	ck_assert_uint_eq(routes, 1);
	ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(read_only_bits)
{
	program(5, 0xffffffff, 0xff);
	ck_assert_uint_eq(get(0x10 + 10), 0x1afff);
	ck_assert_uint_eq(get(0x10 + 11), 0xff000000);
}
END_TEST

START_TEST(special_modes_are_seen)
{
	program(8, 0x31, 0);
	ck_assert(!ioapic_has_special(&io));
	program(9, 0x10400, 0); /* NMI, masked */
	ck_assert(!ioapic_has_special(&io));
	program(9, 0x400, 0);
	ck_assert(ioapic_has_special(&io));
}
END_TEST

/* H-18's sister: every offset and width, every index. */
START_TEST(any_access_is_safe)
{
	uint8_t data[8];

	for (unsigned index = 0; index < 256; index++) {
		uint32_t before = index;

		ioapic_handler.write(&io, 0, &before, 4);
		for (uint64_t off = 0; off < 0x1000; off += off < 0x20 ? 1 : 0x61) {
			for (size_t len = 1; len <= 8; len++) {
				memset(data, 0xff, sizeof(data));
				ioapic_handler.write(&io, off, data, len);
				ioapic_handler.read(&io, off, data, len);
			}
		}
	}
	for (unsigned pin = 0; pin < EXO_IOAPIC_PINS; pin++)
		ioapic_raise(&io, pin);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ioapic");
	TCase *tc = tcase_create("ioapic");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, messages);
	tcase_add_test(tc, level_is_served_as_edge);
	tcase_add_test(tc, edge_waits_while_masked);
	tcase_add_test(tc, wired_pin_is_told);
	tcase_add_test(tc, wired_pin_loses_nothing);
	tcase_add_test(tc, wiring_fails);
	tcase_add_test(tc, read_only_bits);
	tcase_add_test(tc, special_modes_are_seen);
	tcase_add_test(tc, any_access_is_safe);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
