/*
 * For guest programs that show something as files: a 9P2000.L server and its
 * codec. In libexo9p.a, which exo-cc links. docs/files.md has an example.
 */
#ifndef EXO_9P_H
#define EXO_9P_H

#include "p9_server.h"
#include "p9_wire.h"

#endif
