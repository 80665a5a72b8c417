# The tests. Each folder's module.mk says what is built; tests/run runs it.
include tests/unit/module.mk
-include tests/guest/module.mk
-include tests/nested/module.mk
-include tests/fuzz/module.mk
-include tests/bench/module.mk
