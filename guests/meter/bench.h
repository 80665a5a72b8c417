/* The modes that measure by themselves and print a line. */
#ifndef METER_BENCH_H
#define METER_BENCH_H

#include <exo_window.h>

/* So many frames of scene.h, one after the other was seen. 0, or -1 with errno. */
int bench_frames(struct exo_window *w, unsigned frames);
/* So many inputs (a key or button that goes down, a move), each answered by a picture. */
int bench_inputs(struct exo_window *w, unsigned inputs);

#endif
