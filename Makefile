# Orderwire. `make` alone prints the targets; a line with two hashes behind a target's name is its help.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

SERVICES  := order-api inventory shipping notifier
DASHBOARD := services/dashboard
PAGE      := deploy/stack/page

.PHONY: help
help: ## print this
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run it

.PHONY: run
run: check build ## build and start everything here, with the page on http://127.0.0.1:8080
	@exec bin/orderctl up

.PHONY: build
build: page ## build the services, orderctl and the page into bin/
	@echo "building the services into bin/ (the first time takes a minute or two)"
	@mkdir -p bin
	@go build -o bin/ $(addprefix ./services/,$(SERVICES)) ./deploy/orderctl

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

# One message about all that is missing, before anything slow.
.PHONY: check
check:
	@deploy/check.sh run

##@ Prepare

.PHONY: mongodb
mongodb: bin/orderctl ## build the fast local database once (SecantusDB; about 5 minutes, needs Rust)
	@deploy/check.sh mongodb
	@bin/orderctl prepare mongodb

.PHONY: kafka
kafka: bin/orderctl ## fetch Apache Kafka once (needs Java 17 and Maven)
	@deploy/check.sh kafka
	@bin/orderctl prepare kafka

# Go's own cache knows what is new.
.PHONY: bin/orderctl
bin/orderctl:
	@mkdir -p bin
	@go build -o bin/ ./deploy/orderctl

.PHONY: clean
clean: ## remove what was built, and the data of make run
	rm -rf bin .orderwire $(DASHBOARD)/dist $(PAGE)/assets $(PAGE)/*.*
