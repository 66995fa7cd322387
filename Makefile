.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --match 'v*' --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The race detector needs a C compiler. Without one, the tests run without it.
RACE    := $(if $(shell command -v $$($(GO) env CC) 2>/dev/null),-race)
# With it, each process would sleep for a second at its end.
export GORACE ?= atexit_sleep_ms=10
TOOLS   := CGO_ENABLED=0 $(GO) tool -modfile=tools/go.mod
OPENAPI := CGO_ENABLED=0 $(GO) tool -modfile=tools/openapi/go.mod
LINT    := CGO_ENABLED=0 $(GO) tool -modfile='$(CURDIR)/tools/lint/go.mod' golangci-lint \
	--config '$(CURDIR)/.golangci.yaml'

# Modules are found, so a new one is tested, linted and tidied at once. Those below tools/ pin tools, and have no packages.
EVERY_MODULE := $(patsubst %/,%,$(dir $(wildcard go.mod */go.mod */*/go.mod)))
MODULES      := $(filter-out tools tools/%,$(EVERY_MODULE))
# $(call in,MODULES,COMMAND) runs a command in each module, and stops at the first that fails.
in = @set -e; for dir in $(1); do (set -x; cd "$$dir"; $(2)); done

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Run everything on this machine (Postgres, simulators, API, workers)
	@exec bin/millrace dev $(ARGS)

.PHONY: build
build: ## Build bin/millrace
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/millrace ./cmd/millrace

.PHONY: test
test: ## Run all tests, against a Postgres of their own
	$(call in,$(MODULES),$(GO) test $(RACE) -timeout 20m ./...)
	@# Again without the race detector, which is too slow for so many requests.
	$(GO) test -timeout 10m -run '^TestContract$$' ./api -contract.requests 20000

# A test that needs luck, or a quiet machine, fails in some of these runs. bin/hunt keeps the output of failed runs only.
RUNS ?= 10
.PHONY: hunt
hunt: ## Run all tests RUNS times, in turn as they are, beside two busy loops, and on one processor
	@mkdir -p bin/hunt; loops=; trap 'kill $$loops 2>/dev/null' EXIT; trap 'exit 1' INT TERM; failed=0; \
	for run in $$(seq $(RUNS)); do \
		how=quiet; procs=$$(getconf _NPROCESSORS_ONLN); \
		case $$((run % 3)) in \
			2) how=loaded; for i in 1 2; do while :; do :; done & loops="$$loops $$!"; done;; \
			0) how=single; procs=1;; \
		esac; \
		out=$(CURDIR)/bin/hunt/$$(date +%Y%m%d-%H%M%S)-$$how; ok=yes; \
		for dir in $(if $(PACKAGES),.,$(MODULES)); do \
			(cd "$$dir" && GOMAXPROCS=$$procs $(GO) test $(RACE) -count 1 -timeout 30m $(or $(PACKAGES),./...)) \
				>>"$$out" 2>&1 || ok=no; \
		done; \
		kill $$loops 2>/dev/null; loops=; \
		if [ $$ok = yes ]; then rm "$$out"; echo "run $$run, $$how: passed"; \
		else \
			failed=$$((failed + 1)); echo "run $$run, $$how: failed, see $$out"; \
			grep -E '^ *--- FAIL|^FAIL|^panic:' "$$out"; \
		fi; \
	done; [ $$failed = 0 ]

# axe finds what people with a disability cannot use. It is in the user's cache, because no other target needs it.
AXE     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millrace-axe/4.14.1
AXE_SUM := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
# SCREENSHOTS=/tmp writes pictures of the board to /tmp.
.PHONY: test-browser
test-browser: ## Look at the pages in a headless Chromium, which is installed if there is none
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends chromium; }
	@[ -f '$(AXE)/package/axe.min.js' ] || { mkdir -p '$(AXE)' && npm pack --silent --pack-destination '$(AXE)' axe-core@4.14.1 && \
		echo '$(AXE_SUM)  $(AXE)/axe-core-4.14.1.tgz' | sha256sum -c && tar xzf '$(AXE)/axe-core-4.14.1.tgz' -C '$(AXE)'; }
	$(GO) test -tags browser -run '^TestBrowser' -timeout 10m ./cmd/millrace -axe '$(AXE)/package/axe.min.js' \
		$(if $(SCREENSHOTS),-screenshots '$(abspath $(SCREENSHOTS))')

# Jaeger is in the user's cache, because its first build takes minutes and a gigabyte of modules.
JAEGER := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millrace-jaeger/1.76.0/jaeger
.PHONY: trace-jaeger
trace-jaeger: build ## Have a real Jaeger receive the trace of an order, look at it, and draw docs/trace.svg
	@[ -x '$(JAEGER)' ] || { cd tools/jaeger && \
		CGO_ENABLED=0 $(GO) build -trimpath -o '$(JAEGER)' github.com/jaegertracing/jaeger/cmd/jaeger; }
	$(GO) run ./lab/jaeger -millrace bin/millrace -jaeger '$(JAEGER)' -picture docs/trace.svg

# BENCH='--rounds 1' passes a flag to the bench. lab/bench -h has all of them.
.PHONY: bench
bench: build ## Measure Millrace beside what others would pick, and write docs/performance.md
	@cd lab/bench && $(GO) run . run --millrace ../../bin/millrace --docs ../../docs --results results $(BENCH)

.PHONY: bench-smoke
bench-smoke: build ## Measure a little, and fail if it is far off
	@cd lab/bench && $(GO) run . smoke --millrace ../../bin/millrace --rounds 3 --measured 1s $(BENCH)

.PHONY: bench-growth
bench-growth: build ## Measure with a million orders, and write docs/performance.md and the plans
	@cd lab/bench && $(GO) run . growth --millrace ../../bin/millrace --queries ../../sql/queries \
		--code ../../store/dbsqlc --docs ../../docs --results results --rounds 3 $(BENCH)

.PHONY: test-proxy
test-proxy: ## Follow events through an nginx, which is installed if there is none
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends nginx-light; }
	$(GO) test -tags nginx -run '^TestNginx' -timeout 5m ./cmd/millrace

.PHONY: test-alerts
test-alerts: ## Check the alerts, also with promtool, which is installed if there is none
	@command -v promtool >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends prometheus prometheus-alertmanager; }
	cd lab/alerts && $(GO) test -count 1 -timeout 10m ./...

# RESTARTS=2 is a short run.
.PHONY: test-scale
test-scale: ## Restart processes under load behind nginx and HAProxy, which are installed if they are missing
	@{ command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null && { command -v haproxy || [ -x /usr/sbin/haproxy ]; } >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends nginx-light haproxy; }
	$(GO) test -tags scale -run '^TestScale$$' -timeout 30m ./cmd/millrace -v $(if $(RESTARTS),-scale.restarts $(RESTARTS))

# The version before is built from the repository's history, which a shallow clone lacks (git fetch --unshallow --tags).
# VERSIONS='-versions.for 1m' is short, and -versions.before names another version before.
.PHONY: test-versions
test-versions: ## Run this version and the version before together under load, with kills, and go back
	$(GO) test -tags versions -run '^TestVersions$$' -timeout 60m -v ./cmd/millrace $(VERSIONS)

# A migration that holds a lock waits for a processor, too: the test subtracts what statements that do nothing cost. It
# fills the disk with some 8 GB for a million orders.
ORDERS ?= 100000
.PHONY: test-migration-locks
test-migration-locks: ## Migrate ORDERS orders of the version before under load, and see how long sessions wait for it
	$(GO) test -tags versions -run '^TestMigrationLocks$$' -timeout 60m -v ./cmd/millrace -versions.orders $(ORDERS)

.PHONY: image
image: ## Build the image for amd64 and arm64 into bin/image, an OCI layout, without a daemon
	@$(GO) run ./gen/image --out bin/image --version $(VERSION)

# DEPLOY=-short builds the image of this machine's architecture only.
.PHONY: test-deploy
test-deploy: ## Build the image twice, run what is in it, and validate units and manifests, offline
	@command -v systemd-analyze >/dev/null || ! command -v apt-get >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends systemd; }
	@[ '$(DEPLOY)' = -short ] || { command -v podman && command -v runc; } >/dev/null || ! command -v apt-get >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends podman runc; }
	$(GO) test -tags deploy -timeout 30m $(DEPLOY) ./deploy

# POOLED='^TestApply' selects tests of the store by name. POOLER=1.24 is Debian 13's PgBouncer, which is unpacked beside
# that of the machine.
POOLER ?= 1.18
.PHONY: test-pooler
test-pooler: ## Run the store's tests and whole orders through a PgBouncer, which is installed if there is none
	@set -e; PATH="$$(store/storetest/pgbouncer.sh $(POOLER)):$$PATH"; set -x; \
		MILLRACE_TEST_POOLER=transaction $(GO) test -timeout 10m $(if $(POOLED),-run '$(POOLED)') ./store; \
		$(GO) test -run '^TestPool' -timeout 5m ./store ./cmd/millrace

# FAILOVERS=2 is a short run, and writes nothing. Root is for the nodes' network namespaces, which end with the run.
# Without nice, other work on the machine delays etcd until leases run out: failovers that no fault has caused.
FAILOVERS ?= 15
.PHONY: test-patroni
test-patroni: build ## Lose the primary of a Patroni cluster FAILOVERS times under load, and write docs/reliability.md
	@[ "$$(id -u)" = 0 ] || { echo 'make test-patroni needs root'; exit 1; }
	$(GO) build -o bin/failover ./lab/failover
	patroni=$$(lab/failover/install.sh) && nice -n -10 unshare --mount --net --pid --fork --kill-child --mount-proc \
		bin/failover -patroni "$$patroni" -failovers $(FAILOVERS) \
		$(if $(filter-out 2,$(FAILOVERS)),-publish docs/reliability.md)

# A version that is not installed is downloaded once, as `millrace dev` does, into a cache that no other test uses. Tests
# with a standby run on the installed version: the packages from npm have no pg_basebackup. POSTGRES=18 is one version,
# and POSTGRES_TESTS='^Test(Place|Apply)' selects tests by name.
POSTGRES ?= 15 16 17 18
.PHONY: test-postgres
test-postgres: ## Run the tests of the store, of the jobs and of whole processes on each version of Postgres
	@set -e; for version in $(POSTGRES); do (set -x; MILLRACE_TEST_POSTGRES=$$version $(GO) test -timeout 30m -count 1 \
		$(if $(POSTGRES_TESTS),-run '$(POSTGRES_TESTS)') ./store ./jobs ./cmd/millrace); done

# DRILLS=down,workers selects drills. `go run . -list` in lab/alerts prints their names.
.PHONY: drills
drills: ## Have each alert fire and clear beside a real Prometheus, and put the table into docs/reliability.md
	@command -v prometheus >/dev/null && command -v prometheus-alertmanager >/dev/null && command -v faketime >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends prometheus prometheus-alertmanager faketime; }
	cd lab/alerts && $(GO) run . -drills '$(DRILLS)' -publish ../../docs/reliability.md

.PHONY: drill-restore
drill-restore: build ## Destroy a database, restore it to a moment, undo what lost orders left, and write docs/backup.md
	@$(GO) run ./lab/restore -millrace bin/millrace -publish docs/backup.md

.PHONY: soak
soak: ## Run the long variants of the tests of load
	$(GO) test -run '^TestCutStreams$$' -timeout 10m ./api -v -cut.streams 2000 -cut.for 1m
	$(GO) test -run '^TestStreamMemory$$' -timeout 10m ./cmd/millrace -v -streams 5000

# ROWS=F2,F7 selects rows of the matrix. SEED=42 repeats the schedules of the run that printed this seed.
FAULTS := cd lab/faults && $(GO) run . $(if $(ROWS),-rows $(ROWS)) $(if $(SEED),-seed $(SEED)) \
	-json ../../bin/faults.json
.PHONY: faults
faults: ## Run the whole fault matrix, and put its table into docs/reliability.md
	@mkdir -p bin
	@command -v faketime >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends faketime; }
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -q && apt-get install -qy --no-install-recommends pgbouncer; }
	$(FAULTS) -full -lanes 2 $(if $(ROWS),,-publish ../../docs/reliability.md)

.PHONY: faults-short
faults-short: ## Run a selection of the fault matrix with small numbers, for CI
	@mkdir -p bin
	$(FAULTS)

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## Fuzz everything that reads what strangers send, for FUZZTIME each
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
		grep -hoE 'func Fuzz[A-Za-z]+' "$$dir"/*_test.go 2>/dev/null | sed 's/func //' | while read -r target; do \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; done || exit 1; done

.PHONY: generate
generate: ## Generate the SQL bindings, the OpenAPI document, the client, and what docs/ has of the code
	$(GO) run ./gen/riverschema > .generated && mv .generated sql/river.sql
	@rm -f store/dbsqlc/*.sql.go # sqlc leaves the file of a query file that is gone
	$(TOOLS) sqlc generate
	$(GO) run ./cmd/millrace openapi > .generated && mv .generated api/openapi.yaml
	$(OPENAPI) ogen --config client/ogen.yml --loglevel error --target client/oas --package oas --clean api/openapi.yaml
	$(GO) run ./gen/oaspatch client/oas
	$(GO) run ./gen/sagadoc > .generated && mv .generated docs/saga.md
	$(GO) run ./gen/prometheusrule > .generated && mv .generated deploy/kubernetes/base/prometheusrule.yaml
	$(GO) run ./gen/stepnames > .generated && mv .generated client/step_name.go
	$(GO) run ./gen/permissions docs/security.md > .generated && mv .generated docs/security.md
	$(GO) run ./gen/scaling docs/scaling.md docs/performance.md > .generated && mv .generated docs/scaling.md

# The board's files are checked in, so a build needs no npm. A test compares them with board/npm/SHA256SUMS.
HTMX  := htmx.org@2.0.11
UPLOT := uplot@1.6.32
.PHONY: board-assets
board-assets: ## Fetch the board's files of npm again, and check their checksums
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		for package in $(HTMX) $(UPLOT); do \
			mkdir "$$dir/$${package%@*}"; \
			npm pack --silent --pack-destination "$$dir" $$package | xargs -I'{}' tar xzf "$$dir/{}" -C "$$dir/$${package%@*}"; \
		done; \
		cp "$$dir/htmx.org/package/dist/htmx.min.js" board/npm/; \
		cp "$$dir/htmx.org/package/LICENSE" board/npm/htmx.LICENSE; \
		cp "$$dir/uplot/package/dist/uPlot.iife.min.js" "$$dir/uplot/package/dist/uPlot.min.css" board/npm/; \
		cp "$$dir/uplot/package/LICENSE" board/npm/uPlot.LICENSE; \
		cd board/npm && sha256sum -c SHA256SUMS

.PHONY: fmt
fmt: ## Format the code
	$(call in,$(MODULES),$(LINT) fmt ./...)

.PHONY: lint
lint: ## Run the linters
	$(LINT) config verify
	$(call in,$(MODULES),$(LINT) run ./...)

# The check compares with the files as they are, and not with git's: it also works before a commit.
GENERATED := sql/river.sql store/dbsqlc api/openapi.yaml client/oas client/step_name.go docs/saga.md \
	deploy/kubernetes/base/prometheusrule.yaml docs/security.md
.PHONY: drift
drift: ## Check that generated files are up to date
	@rm -rf .drift && mkdir .drift && tar cf - $(GENERATED) | tar xf - -C .drift
	@$(MAKE) --no-print-directory generate >/dev/null
	@status=0; for f in $(GENERATED); do diff -ru .drift/$$f $$f || status=1; done; rm -rf .drift; \
		[ $$status = 0 ] || { echo 'generated files were out of date; they are not any more'; exit 1; }

.PHONY: tidy
tidy: ## Check that the go.mod files are tidy
	@# To tidy that of Jaeger fetches what its tests need, too.
	$(call in,$(filter-out tools/jaeger,$(EVERY_MODULE)),$(GO) mod tidy -diff)

# Clients in the field were made from api/openapi.released.yaml. A check against openapi.yaml's last commit would pass a
# break that takes two commits.
.PHONY: compat
compat: ## Check that the API breaks no client, or that CHANGELOG.md owns up to it
	@$(GO) run ./gen/release check
	@$(OPENAPI) oasdiff breaking --fail-on ERR api/openapi.released.yaml api/openapi.yaml; status=$$?; \
		[ $$status = 0 ] || { [ $$status = 1 ] && \
		awk '/^## /{now = /^## Unreleased/} now && /^- \*\*Breaking\*\*/{found = 1} END{exit !found}' CHANGELOG.md; } || \
		{ echo 'this breaks clients: undo it, or say so in CHANGELOG.md, under Unreleased: "- **Breaking** …"'; exit 1; }

.PHONY: release
release: drift compat ## Date what is unreleased in CHANGELOG.md, and pin the API's document: make release VERSION=0.1.0
	@$(GO) run ./gen/release make $(VERSION)
	@echo 'commit CHANGELOG.md and api/openapi.released.yaml, and tag the commit twice, since the client is a module of its own:'
	@echo '  git tag v$(VERSION) && git tag client/v$(VERSION)'

# The linters of npm are in the user's cache, because nothing that is built, run or tested needs them.
OPENAPI_LINTERS := @stoplight/spectral-cli@6.16.3 @redocly/cli@2.77.0
OPENAPI_LINT    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millrace-openapi-lint/6.16.3-2.77.0
.PHONY: lint-openapi
lint-openapi: ## Run Spectral and Redocly over the OpenAPI document, if there is npm
	@command -v npm >/dev/null || { echo 'skipped: no npm'; exit 0; }; set -e; \
		[ -x $(OPENAPI_LINT)/node_modules/.bin/redocly ] || npm install --prefix $(OPENAPI_LINT) --ignore-scripts \
			--no-audit --no-fund --loglevel=error $(OPENAPI_LINTERS); \
		export SCARF_ANALYTICS=false REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true; \
		$(OPENAPI_LINT)/node_modules/.bin/spectral lint --ruleset api/spectral.yaml --fail-severity=warn api/openapi.yaml; \
		$(OPENAPI_LINT)/node_modules/.bin/redocly lint --config api/redocly.yaml api/openapi.yaml

.PHONY: check
check: drift tidy lint compat ## Everything that must be true of a commit, besides the tests
	$(call in,$(MODULES),$(GO) vet ./...)

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .drift .generated
