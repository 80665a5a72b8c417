/*
 * A calculator.
 *
 *	calc               a window
 *	calc EXPRESSION…   prints what they are worth
 *
 * The line takes what is typed, whatever has the focus. Enter or =: the result, which goes on
 * to be calculated with; it is `ans` as well. Escape: empty. A click on a line of the
 * history, or Enter there, takes its expression back.
 */
#include "eval.h"

#include <exo_widgets.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 6
#define ROWS 5
#define LINES 200 /* of history */
#define LINE_MAX_BYTES 200

static const struct key {
	const char *label, *text; /* text NULL: an action */
} keys[ROWS][COLUMNS] = {
	{{"(", "("}, {")", ")"}, {"√", "√"}, {"^", "^"}, {"!", "!"}, {"⌫", NULL}},
	{{"7", "7"}, {"8", "8"}, {"9", "9"}, {"÷", "÷"}, {"sin", "sin("}, {"C", NULL}},
	{{"4", "4"}, {"5", "5"}, {"6", "6"}, {"×", "×"}, {"cos", "cos("}, {"π", "π"}},
	{{"1", "1"}, {"2", "2"}, {"3", "3"}, {"−", "−"}, {"ln", "ln("}, {"e", "e"}},
	{{"0", "0"}, {".", "."}, {"%", "%"}, {"+", "+"}, {"ans", "ans"}, {"=", NULL}},
};

struct calc {
	struct exo_ui *ui;
	struct exo_list history;
	struct exo_field field;
	struct exo_status result;
	struct exo_button button[ROWS][COLUMNS];
	char text[LINE_MAX_BYTES];
	long double ans;
	bool fresh; /* the line is the last result: the next digit begins anew */
	unsigned lines;
	char line[LINES][LINE_MAX_BYTES]; /* expressions */
	char value[LINES][48];
};

static struct calc calc;

static void history_row(struct exo_list *l, unsigned index, char *text, size_t size)
{
	(void)l;
	snprintf(text, size, "%s = %s", calc.line[index], calc.value[index]);
}

static void remember(const char *expression, const char *value)
{
	if (calc.lines == LINES) {
		memmove(calc.line[0], calc.line[1], sizeof(calc.line) - sizeof(calc.line[0]));
		memmove(calc.value[0], calc.value[1], sizeof(calc.value) - sizeof(calc.value[0]));
		calc.lines--;
	}
	snprintf(calc.line[calc.lines], sizeof(calc.line[0]), "%s", expression);
	snprintf(calc.value[calc.lines], sizeof(calc.value[0]), "%s", value);
	calc.lines++;
	exo_list_set(&calc.history, calc.lines, (int)calc.lines - 1);
}

/* What it is worth so far; mistakes are not told before it is complete. */
static void preview(struct exo_field *f)
{
	struct eval_result r = eval(f->text, calc.ans);
	char value[64] = "";

	calc.fresh = false;
	if (f->text[0] && !r.error) {
		strcpy(value, "= ");
		eval_format(r.value, value + 2, sizeof(value) - 2);
	}
	calc.result.alarm = false;
	exo_status_set(&calc.result, value, "");
	exo_widget_changed(&calc.result.widget);
}

static void calculate(struct exo_field *f)
{
	struct eval_result r = eval(f->text, calc.ans);
	char value[48];

	if (!f->text[0])
		return;
	if (r.error) {
		exo_status_set(&calc.result, r.error, "");
		calc.result.alarm = true;
		exo_widget_changed(&calc.result.widget);
		f->cursor = f->anchor = r.at;
		exo_widget_changed(&f->widget);
		return;
	}
	eval_format(r.value, value, sizeof(value));
	remember(f->text, value);
	calc.ans = r.value;
	exo_field_set(f, value);
	f->anchor = 0;
	preview(f);
	calc.fresh = true;
}

static void clear(void)
{
	exo_field_set(&calc.field, "");
	preview(&calc.field);
}

/* An operator goes on with the result. */
static void before_typing(const char *text)
{
	static const char *const operators[] = {"+", "-", "−", "*", "×", "/", "÷", "%", "^", "!"};

	if (!calc.fresh)
		return;
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(text, operators[i]) == 0)
			calc.field.anchor = calc.field.cursor;
}

static void pressed(struct exo_button *b)
{
	const struct key *k = b->widget.data;
	struct exo_widget *f = &calc.field.widget;
	struct exo_event erase = {.type = EXO_EVENT_KEY,
				  .key = {.code = KEY_BACKSPACE, .down = true}};

	if (k->text) {
		before_typing(k->text);
		f->cls->paste(f, k->text, strlen(k->text));
	} else if (k->label[0] == 'C') {
		clear();
	} else if (k->label[0] == '=') {
		calculate(&calc.field);
	} else {
		f->cls->key(f, &erase);
	}
}

static void take_back(struct exo_list *l)
{
	if (l->selected < 0)
		return;
	exo_field_set(&calc.field, calc.line[l->selected]);
	preview(&calc.field);
	exo_ui_focus(calc.ui, &calc.field.widget);
}

static bool event(struct exo_ui *ui, const struct exo_event *e)
{
	if (e->type != EXO_EVENT_KEY || !e->key.down)
		return false;
	if (e->key.code == KEY_ESC) {
		clear();
		return true;
	}
	if (strcmp(e->key.text, "=") == 0) {
		calculate(&calc.field);
		return true;
	}
	/* Space and Enter are the focused widget's. */
	if (e->key.text[0] && e->key.text[0] != ' ') {
		exo_ui_focus(ui, &calc.field.widget);
		before_typing(e->key.text);
	}
	return false;
}

static void layout(struct exo_ui *ui, int width, int height)
{
	int gap = exo_px(ui, 6), row = (height - 2 * gap) / 11, y;
	int least = exo_font_height(exo_ui_font(ui)) + exo_px(ui, 8);
	int w = (width - gap) / COLUMNS - gap;

	row = row < least ? least : row;
	y = height - ROWS * (row + gap);
	for (int r = 0; r < ROWS; r++)
		for (int c = 0; c < COLUMNS; c++)
			exo_widget_place(&calc.button[r][c].widget, gap + c * (w + gap),
					 y + r * (row + gap), w, row);
	exo_widget_place(&calc.result.widget, 2 * gap, y - gap - least, width - 4 * gap, least);
	y -= least + 2 * gap + row;
	exo_widget_place(&calc.field.widget, gap, y, width - 2 * gap, row);
	exo_widget_place(&calc.history.widget, gap, gap, width - 2 * gap, y - 2 * gap);
}

static int print(int argc, char **argv)
{
	long double ans = 0;
	char value[48];

	for (int i = 1; i < argc; i++) {
		struct eval_result r = eval(argv[i], ans);

		if (r.error) {
			fprintf(stderr, "calc: %s: %s (at byte %zu)\n", argv[i], r.error, r.at);
			return 1;
		}
		ans = r.value;
		eval_format(r.value, value, sizeof(value));
		puts(value);
	}
	return 0;
}

static void add_all(struct exo_ui *ui)
{
	exo_field_init(&calc.field, calc.text, sizeof(calc.text));
	calc.field.hint = "an expression, such as 3(4+√2)^2";
	calc.field.changed = preview;
	calc.field.entered = calculate;
	exo_ui_add(ui, &calc.field.widget);
	exo_status_init(&calc.result);
	calc.result.plain = true;
	exo_ui_add(ui, &calc.result.widget);
	for (int r = 0; r < ROWS; r++) {
		for (int c = 0; c < COLUMNS; c++) {
			struct exo_button *b = &calc.button[r][c];

			exo_button_init(b, keys[r][c].label, pressed);
			b->widget.data = (void *)(uintptr_t)&keys[r][c];
			b->accent = strcmp(keys[r][c].label, "=") == 0;
			exo_ui_add(ui, &b->widget);
		}
	}
	exo_list_init(&calc.history, history_row);
	calc.history.chosen = take_back;
	exo_ui_add(ui, &calc.history.widget);
	exo_ui_focus(ui, &calc.field.widget);
}

int main(int argc, char **argv)
{
	const struct exo_ui_calls calls = {.layout = layout, .event = event};
	struct exo_window *w;

	if (argc > 1)
		return print(argc, argv);
	w = exo_window_open("Calculator", 0);
	calc.ui = w ? exo_ui_create(w, &calls, NULL) : NULL;
	if (!calc.ui) {
		fprintf(stderr, "calc: no window: %s\n", strerror(errno));
		return 1;
	}
	add_all(calc.ui);
	return exo_ui_run(calc.ui) ? 1 : 0;
}
