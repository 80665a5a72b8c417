/*
 * The graph of a session as text, DOT and SVG: what exo wires prints. Pure: from
 * the answer of the session's op `wires` to text.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "text.h"

#include <jansson.h>

/* Columns for people. */
void graph_add_text(const json_t *wires, struct text *out);
/* For Graphviz. */
void graph_add_dot(const json_t *wires, struct text *out);
/* A drawing: guests as boxes in columns, users left of what they use. */
void graph_add_svg(const json_t *wires, struct text *out);

#endif
