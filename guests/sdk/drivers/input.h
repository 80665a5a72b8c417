/*
 * Driver of virtio-input (VIRTIO 1.2, 5.8): all such devices as one source of
 * events. What the program does not read stays in the rings, so that it is the device
 * that decides what is lost. Set up on first use; one user (posix/inputfile.c).
 */
#ifndef DRIVERS_INPUT_H
#define DRIVERS_INPUT_H

#include <exo_devices.h>

#include <stdbool.h>
#include <stdint.h>

/* Is there a device? Sets all of them up. */
bool input_ready(void);
/* 0 or -ENOENT. */
int input_info(struct exo_input_info *info);
bool input_has_event(void);
bool input_event(struct exo_input_event *e);
/* Somebody is about to sleep: interrupts are wanted. True: there is something already. */
bool input_listen(void);
/* What to sleep on. */
extern const char input_chan;

#endif
