/* exo: the command. One table of subcommands; each is a file of its own. */
#include "commands.h"
#include "doctor.h"
#include "guest.h"
#include "help.h"
#include "launch.h"
#include "run.h"
#include "session.h"
#include "test.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

static int command_help(char **argv, uint64_t start_ns)
{
	if (argv[1] && help_print(argv[1]))
		return text_error(GUEST_EXIT_FAILURE, "help: no command named %s; try exo help",
				  argv[1]);
	return argv[1] ? 0 : help_print(NULL);
}

static int command_version(char **argv, uint64_t start_ns)
{
	return help_version();
}

/* clang-format off */
static const struct {
	const char *name;
	int (*run)(char **argv, uint64_t start_ns);
} commands[] = {
	{"run", run_command}, {"test", test_command}, {"doctor", doctor_command},
	{"session", session_command}, {"desktop", desktop_command}, {"script", script_command},
	{"start", start_command}, {"add", add_command}, {"remove", remove_command},
	{"ps", ps_command}, {"top", top_command}, {"stop", stop_command}, {"kill", kill_command},
	{"pause", pause_command}, {"resume", resume_command}, {"wait", wait_command},
	{"log", log_command}, {"wires", wires_command}, {"grant", grant_command},
	{"revoke", revoke_command}, {"audit", audit_command}, {"connect", connect_command},
	{"listen", listen_command}, {"check", check_command},
	{"help", command_help}, {"--help", command_help}, {"-h", command_help},
	{"version", command_version}, {"--version", command_version}, {"-V", command_version},
};
/* clang-format on */

int main(int argc, char **argv)
{
	uint64_t start_ns = launch_now_ns();

	if (argc < 2) {
		help_print(NULL);
		return GUEST_EXIT_FAILURE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argv[2] && !strcmp(argv[2], "--help") && !help_print(argv[1]))
			return 0;
		return commands[i].run(argv + 1, start_ns);
	}
	return text_error(GUEST_EXIT_FAILURE, "no command named %s; try exo help, or exo run %s",
			  argv[1], argv[1]);
}
