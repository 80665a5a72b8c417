# The targets a person types.

.PHONY: help setup run tour check bench fuzz soak format lint install clean

# These build by themselves, on all CPUs unless told otherwise by -j.
JOBS := $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install the Debian packages that are missing (mk/packages)
	$(Q)mk/setup $(BUILD)

run: setup ## build, then open the desktop (without a display: the same, into pictures)
	$(Q)$(MAKE) $(JOBS) all
	$(Q)mk/demo $(B)

tour: setup ## build, then show in this terminal what needs no window
	$(Q)$(MAKE) $(JOBS) all
	$(Q)mk/tour $(B)

check: setup ## build and run all tests
	$(Q)$(MAKE) $(JOBS) all nested linux-guest
	$(Q)$(MAKE) $(JOBS) MODE=asan unit
	$(Q)tests/run $(BUILD) $(CHECK_FLAGS)

bench: setup ## measure, print the table (build/bench.json)
	$(Q)$(MAKE) all bench-programs
	$(Q)tests/bench/run $(BUILD)

fuzz: setup ## fuzz for FUZZ_SECONDS (default 900) a target
	$(Q)tests/fuzz/run $(BUILD) $(or $(FUZZ_SECONDS),900)

soak: setup ## the long runs
	$(Q)$(MAKE) all
	$(Q)tests/soak $(BUILD)

SOURCES = $(shell git ls-files '*.c' '*.h')

format: ## reformat the sources
	clang-format-14 -i $(SOURCES)

lint: ## formatting, includes, cppcheck, the second compiler, sizes
	$(Q)mkdir -p $(BUILD)
	$(Q)mk/lint $(BUILD)

install: all install-sdk ## install below PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/exo/guests
	install -m 755 $(INSTALL_BINS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(GUEST_ELFS) $(GUEST_EXOS) $(DESTDIR)$(PREFIX)/lib/exo/guests
	install -D -m 644 shell/desktop/demo.exoscript $(DESTDIR)$(PREFIX)/share/exo/demo.exoscript
	for page in $(wildcard docs/man/*.1); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man1/$${page##*/} || exit 1; done
	for file in $(wildcard shell/completion/*.bash); do \
		name=$${file##*/}; install -D -m 644 $$file \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$${name%.bash} || exit 1; done
	install -D -m 644 shell/completion/_exo $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_exo
	install -D -m 644 shell/completion/exo.fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/exo.fish

clean: ## remove what was built
	rm -rf $(BUILD)
