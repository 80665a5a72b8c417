/*
 * The ACPI tables (ACPI 6.3, hardware-reduced): RSDP, XSDT, FADT, MADT, DSDT.
 * They describe the vCPUs' local APICs, one I/O APIC, the virtio-mmio devices
 * (LNRO0005), and power-off and reset through the platform page.
 */
#ifndef ACPI_H
#define ACPI_H

#include "gmem.h"

#include <exo/machine.h>

/*
 * Writes the tables at EXO_ACPI_GPA; *rsdp is where the RSDP is. Slots with
 * device_id 0 are left out. 0, or -EFAULT (no RAM there), -ENOSPC.
 * Main thread, before any vCPU runs.
 */
int acpi_write(const struct gmem *mem, unsigned cpus, const struct exo_boot_device *device,
	       unsigned ndevices, gpa_t *rsdp);

#endif
