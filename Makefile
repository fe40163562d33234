# Orderwire. `make` alone prints the targets; a line with two hashes behind a target's name is its help.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

SERVICES  := order-api inventory shipping notifier
DASHBOARD := services/dashboard
PAGE      := deploy/stack/page

.PHONY: help
help: ## print this
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { print "\n" substr($$0, 5) } /^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run it

.PHONY: run
run: check-run programs ## build and start everything here, with the page on http://127.0.0.1:8080
	@exec bin/orderctl up

PROGRAMS := $(addprefix services/,$(SERVICES)) deploy/orderctl

.PHONY: build
build: check-build programs ## build the services, orderctl and the page into bin/

# One go for all is the fastest; the first time, which is long, one each shows how far it is.
.PHONY: programs
programs: page
	@mkdir -p bin
	@if [ -e bin/order-api ]; then \
		echo "building $(PROGRAMS)"; go build -o bin/ $(addprefix ./,$(PROGRAMS)); \
	else \
		echo "building for the first time: a minute or two, most of it for what all programs have in common"; \
		n=0; for p in $(PROGRAMS); do n=$$((n + 1)); echo "building $$p ($$n of $(words $(PROGRAMS)))"; go build -o bin/ ./$$p || exit 1; done; \
	fi

# The page is built when a source is newer than what orderctl embeds.
.PHONY: page
page: $(PAGE)/index.html

$(PAGE)/index.html: $(DASHBOARD)/node_modules/.package-lock.json $(wildcard $(DASHBOARD)/*.html $(DASHBOARD)/*.ts $(DASHBOARD)/*.json) $(shell find $(DASHBOARD)/src $(DASHBOARD)/public -type f 2>/dev/null)
	@echo "building the page"
	@cd $(DASHBOARD) && npm run --silent build -- --logLevel warn
	@rm -rf $(PAGE)/assets $(PAGE)/*.*
	@cp -R $(DASHBOARD)/dist/. $(PAGE)/
	@touch $@

$(DASHBOARD)/node_modules/.package-lock.json: $(DASHBOARD)/package-lock.json
	@echo "fetching what the page is built with"
	@cd $(DASHBOARD) && npm ci --silent --no-audit --no-fund
	@touch $@

# One message about all that is missing, before anything slow. Each is a target of its own: several may be asked for at once.
CHECKS := $(addprefix check-,run test build mongodb kafka caddy)
.PHONY: $(CHECKS)
$(CHECKS): check-%:
	@deploy/check.sh $*

##@ Test it

.PHONY: test
test: check-test programs ## run every test that this machine can run, and say which it skips and why (ONLY=database|go|faults|e2e|dashboard|browser)
	@$(if $(filter e2e dashboard browser,$(ONLY)),,bin/orderctl backends --fast --) go run ./deploy/testrun $(if $(ONLY),-only $(ONLY))

.PHONY: bench
bench: check-test programs ## measure it: tables with limits or peers beside the figures
	@go run ./deploy/bench $(BENCH)

SEED     ?= 1
KAFKA    ?= kfake
N        ?= 30
PARALLEL ?= 2

.PHONY: chaos
chaos: check-test ## break it for two minutes by a seed and check its promises (SEED=1 KAFKA=kfake|apache|cluster)
	@go run ./deploy/chaos --seed $(SEED) --kafka $(KAFKA) --duration 2m --verbose $(CHAOS)

.PHONY: soak
soak: KAFKA = mixed
soak: check-test ## the same with N=30 random seeds of five minutes each, two side by side (OUT=FILE keeps results, and goes on from them)
	@go run ./deploy/chaos --soak $(N) --parallel $(PARALLEL) --kafka $(KAFKA) --duration 5m --rate 40 $(if $(OUT),--out $(OUT)) $(CHAOS)

TIME ?= 10s

.PHONY: fuzz
fuzz: ## give every decoder inputs that nobody thought of (TIME=10s for each)
	@deploy/fuzz.sh $(TIME) $(MODULES)

# Every module in both worlds: in the workspace and alone.
MODULES   := proto-events pkg $(addprefix services/,$(SERVICES)) deploy
GENERATED = $(sort $(wildcard proto-events/eventspb/*.pb.go services/*/internal/api/*.gen.go))
TOOL      := GOWORK=off go tool -modfile=$(CURDIR)/deploy/tools/go.mod

.PHONY: lint
lint: page ## look at the code: fences, style, contracts, generated files, both worlds of modules
	@echo "linting (the first time builds the linter, a few minutes)"
	@for m in $(MODULES); do echo "  $$m" && (cd $$m && $(TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./... \
		&& GOWORK=off go mod tidy -diff) || exit 1; done
	@cd proto-events && $(TOOL) buf lint && $(TOOL) buf breaking --against testdata/released.binpb
	@echo "  generated files are current" && before=$$(cat $(GENERATED) | cksum) && $(MAKE) --no-print-directory generate \
		&& [ "$$before" = "$$(cat $(GENERATED) | cksum)" ] || { echo "generated files were not current: commit what make generate wrote"; exit 1; }

.PHONY: format
format: ## write every Go file as gofumpt and goimports want it
	@for m in $(MODULES); do (cd $$m && $(TOOL) golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: generate
generate: ## write the code that comes from .proto and openapi.yaml files
	@cd proto-events && $(TOOL) buf generate
	@for m in $(addprefix services/,$(SERVICES)); do (cd $$m && go generate ./...) || exit 1; done

# Leaves first: go mod tidy does not look at go.work.
.PHONY: tidy
tidy: ## tidy every go.mod, those first that others stand on
	@for m in $(MODULES) deploy/tools; do (cd $$m && GOWORK=off go mod tidy) || exit 1; done

##@ Prepare

.PHONY: mongodb
mongodb: check-mongodb bin/orderctl ## build the fast local database once (SecantusDB; about 5 minutes, needs Rust)
	@bin/orderctl prepare mongodb

.PHONY: kafka
kafka: check-kafka bin/orderctl ## fetch Apache Kafka once (needs Java 17 and Maven)
	@bin/orderctl prepare kafka

.PHONY: caddy
caddy: check-caddy bin/orderctl ## build Caddy once, the gateway of the compose file, for its tests (about 3 minutes)
	@bin/orderctl prepare caddy

# Go's own cache knows what is new.
.PHONY: bin/orderctl
bin/orderctl:
	@mkdir -p bin
	@go build -o bin/ ./deploy/orderctl

.PHONY: clean
clean: ## remove what was built, and the data of make run
	rm -rf bin .orderwire $(DASHBOARD)/dist $(PAGE)/assets $(PAGE)/*.*
